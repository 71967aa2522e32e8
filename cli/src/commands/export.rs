//! `ties export`: writes contacts for other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use ties_book::api::{ExportFormat, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::Outcome;
use crate::grammar::is_dash;
use crate::render::{amount, inline, palette};
use crate::temporary;

/// The words of `ties export`.
#[derive(Debug, Args)]
#[command(after_help = "A file is replaced in one step and readable by you alone.

Examples:
  ties export --to vcf -o contacts.vcf
  ties export --to json +client | jq length
  ties export --to vcf org:acme > acme.vcf")]
pub(crate) struct Export {
    /// vcf: vCard 4.0; json: an array of JSContact cards (RFC 9553)
    #[arg(long, value_name = "FORMAT")]
    to: Format,

    /// +TAG, org:NAME, or text in name, mail or organization; all must match
    filter: Vec<String>,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Vcf,
    Json,
}

impl Export {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let format = match self.to {
            Format::Vcf => ExportFormat::Vcf,
            Format::Json => ExportFormat::Json,
        };
        let reply = desk.answer(Request::Export { format, filter: self.filter })?;
        let Reply::Exported { bytes, people } = reply else { return Err(unexpected()) };
        let Some(path) = self.output.filter(|path| !is_dash(path.as_os_str())) else {
            return desk.shell.file(&bytes);
        };
        temporary::replace(&path, &bytes)?;
        let file = path.display().to_string();
        if desk.shell.json() {
            return desk.shell.value(&json!({
                "schema": SCHEMA, "file": file, "people": people, "bytes": bytes.len(),
            }));
        }
        desk.shell.remark(format!(
            "{} {} to {} ({})",
            palette::good("Wrote"),
            amount::counted(people as u64, "person", "people"),
            inline(&file),
            amount::bytes(bytes.len() as u64)
        ));
        Ok(())
    }
}
