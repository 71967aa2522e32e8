//! `ties export`: writes contacts for other programs.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use ties_book::api::{ExportFormat, ExportOptions, Exported, PhotoChoice, Reply, Request};

use super::SCHEMA;
use crate::desk::{Desk, unexpected};
use crate::errors::{Failure, Kind, Outcome};
use crate::grammar::is_dash;
use crate::render::{amount, inline, palette};
use crate::temporary;

/// The words of `ties export`.
#[derive(Debug, Args)]
#[command(
    after_help = "A file is replaced in one step and readable by you alone. vcf and vcf3 hold everything that is \
known of a person; --for writes what the one program reads, in the way it reads it.

Examples:
  ties export --to vcf -o contacts.vcf
  ties export +client --to json | jq length
  ties export --to vcf3 --for outlook --photo small --split outlook/
  ties export org:acme --to vcf3 --for apple > acme.vcf"
)]
pub(crate) struct Export {
    /// vcf: vCard 4.0; vcf3: vCard 3.0; json: an array of JSContact cards (RFC 9553)
    #[arg(long, value_name = "FORMAT")]
    to: Format,

    /// The program that vCard 3.0 is written for
    #[arg(long = "for", value_name = "PROGRAM")]
    target: Option<Target>,

    /// Which photos go along: none, small (up to 36 KB) or full
    #[arg(long, value_name = "WHICH", default_value = "full")]
    photo: Photo,

    /// The words of `ties ls`: +TAG, org:NAME, city:NAME, title:TEXT, or any text; all must match
    filter: Vec<String>,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write a file for each person into this folder (Outlook reads but the first card of a file)
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    split: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    Vcf,
    Vcf3,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    Apple,
    Google,
    Outlook,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Photo {
    None,
    Small,
    Full,
}

impl Export {
    pub(super) fn run(self, desk: &mut Desk<'_>) -> Outcome {
        let options = ExportOptions { format: self.format()?, photo: self.photo(), split: self.split.is_some() };
        let reply = desk.answer(Request::Export { options, filter: self.filter })?;
        let Reply::Exported(exported) = reply else { return Err(unexpected()) };
        if exported.photos_left_out > 0 {
            let photos = amount::counted(exported.photos_left_out as u64, "photo", "photos");
            desk.shell.remark(format!("{photos} left out"));
        }
        if let Some(folder) = self.split {
            return write_all(desk, &folder, &exported);
        }
        let bytes = exported.files.first().map(|file| file.bytes.as_slice()).unwrap_or_default();
        let Some(path) = self.output.filter(|path| !is_dash(path.as_os_str())) else {
            return desk.shell.file(bytes);
        };
        temporary::replace(&path, bytes)?;
        told(desk, &path.display().to_string(), &exported)
    }

    fn format(&self) -> Outcome<ExportFormat> {
        match (self.to, self.target) {
            (Format::Vcf, None) => Ok(ExportFormat::Vcf),
            (Format::Vcf3, None) => Ok(ExportFormat::Vcf3),
            (Format::Json, None) => Ok(ExportFormat::Json),
            (Format::Vcf3, Some(Target::Apple)) => Ok(ExportFormat::Apple),
            (Format::Vcf3, Some(Target::Google)) => Ok(ExportFormat::Google),
            (Format::Vcf3, Some(Target::Outlook)) => Ok(ExportFormat::Outlook),
            (Format::Vcf | Format::Json, Some(_)) => {
                Err(Failure::new(Kind::Usage, "--for needs vCard 3.0, the version that these programs read")
                    .hint("ties export --to vcf3 --for apple"))
            }
        }
    }

    fn photo(&self) -> PhotoChoice {
        match self.photo {
            Photo::None => PhotoChoice::None,
            Photo::Small => PhotoChoice::Small,
            Photo::Full => PhotoChoice::Full,
        }
    }
}

/// Writes the files of everybody into a folder, which is made if need be. Other files in it stay as they are.
fn write_all(desk: &mut Desk<'_>, folder: &Path, exported: &Exported) -> Outcome {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::io(format!("cannot make the folder {}", folder.display()), &error))?;
    for file in &exported.files {
        temporary::replace(&folder.join(&file.name), &file.bytes)?;
    }
    told(desk, &folder.display().to_string(), exported)
}

fn told(desk: &mut Desk<'_>, place: &str, exported: &Exported) -> Outcome {
    let bytes: usize = exported.files.iter().map(|file| file.bytes.len()).sum();
    if desk.shell.json() {
        return desk.shell.value(&json!({
            "schema": SCHEMA, "file": place, "files": exported.files.len(), "people": exported.people, "bytes": bytes,
            "photos_left_out": exported.photos_left_out,
        }));
    }
    desk.shell.remark(format!(
        "{} {} to {} ({})",
        palette::good("Wrote"),
        amount::counted(exported.people as u64, "person", "people"),
        inline(place),
        amount::bytes(bytes as u64)
    ));
    Ok(())
}
