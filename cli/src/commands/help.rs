//! What `ties help` says, by what one wants to do.

use crate::render::palette;
use crate::render::width::wrap_hanging;

/// The commands in groups, in the order in which one meets them.
const GROUPS: [(&str, &[(&str, &str)]); 6] = [
    (
        "Now",
        &[
            ("ties", "by itself: how things stand"),
            ("show WHO", "one person with all notes"),
            ("ls [FILTER …]", "list people: +tag, org:…, or words"),
            ("find WORD …", "search people and notes"),
            ("org [NAME …]", "organizations: who belongs there, what you write of them"),
        ],
    ),
    (
        "Capture",
        &[
            ("new NAME …", "add a person; mail, phone, links, +tags, org:… are recognised"),
            ("note WHO [TEXT …]", "write a note; without TEXT in your editor, - reads it"),
            ("edit WHO", "edit a person or a note in your editor"),
        ],
    ),
    (
        "Data",
        &[
            ("import FILE …", "take in vCards, LinkedIn's archive, Google's CSV"),
            ("export --to FORMAT", "vcf, vcf3 or json, for other programs and for keeping"),
            ("rm WHO", "delete a person or a note"),
            ("undo [N|ID]", "take back the last operation, the last N, or one of ops"),
            ("redo", "bring back what was undone last"),
            ("ops", "what was done on this device, newest first"),
        ],
    ),
    (
        "Devices",
        &[
            ("init", "start a network on this device"),
            ("device add|join|list|…", "pair a second device, rename it, change what it may do"),
            ("relay add|list|…", "use or run a relay, or a folder; neither can read a thing"),
            ("sync [--watch]", "exchange changes with the other devices"),
            ("agent start|stop|status", "do so by itself, in the background"),
            ("status", "devices, relays, what waits and why"),
            ("conflicts [WHO]", "fields that two devices set apart, with both values"),
            ("resolve WHO FIELD", "settle one of them, for all devices"),
        ],
    ),
    (
        "Safety",
        &[
            ("passphrase", "put this device's data under a passphrase, change or remove it"),
            ("unlock [--for 8h]", "open the data without it for a while"),
            ("lock", "ask for it again from now on"),
            ("device revoke NAME", "shut out a lost device; retire signs this one off"),
            ("quarantine", "what a lost device wrote unseen: accept it, or discard it"),
            ("recover --relay URL", "make a device by the twelve recovery words"),
            ("reset", "overrule a takeover with the words"),
            ("key [rotate-recovery]", "which keys there are; new recovery words"),
            ("backup FILE", "everything in one encrypted file"),
            ("restore FILE", "make the device of it, in an empty data folder"),
            ("doctor [--repair]", "look everything over; make anew what can be"),
        ],
    ),
    (
        "Around it",
        &[
            ("demo", "see it all at work in a temporary folder"),
            ("completions SHELL", "Tab for commands and people, in bash, zsh or fish"),
            ("config [NAME VALUE]", "what this device does by itself"),
            ("man [COMMAND]", "manual pages"),
            ("help [COMMAND]", "this page, or all about one command"),
        ],
    ),
];

const OPTIONS: [(&str, &str); 6] = [
    ("--home DIR", "data folder of this device (also $TIES_HOME)"),
    ("--json", "answers and errors as JSON"),
    ("-q, --quiet", "nothing but the answer"),
    ("--color WHEN", "auto, always or never (also $NO_COLOR)"),
    ("-h, --help", "help on the program or on one command"),
    ("-V, --version", "the version"),
];

/// The whole page, for the terminal that there is.
pub(crate) fn overview() -> String {
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let page = page();
    match width {
        Some(width) => page.lines().flat_map(|line| fitted(line, width)).map(|line| line + "\n").collect(),
        None => page,
    }
}

/// A line of the page for a terminal of `width` columns: what is said of a command stays in its column while there is
/// room for a column.
fn fitted(line: &str, width: usize) -> Vec<String> {
    let in_columns = line.starts_with("  ") && line.get(INDENT..).is_some_and(|rest| !rest.starts_with(' '));
    let hang = if in_columns && width >= 2 * INDENT { INDENT } else { line.len() - line.trim_start().len() };
    wrap_hanging(line, hang, width)
}

fn page() -> String {
    let mut page = String::from(
        "A professional network on your own devices: works offline, syncs encrypted.\n\n\
         Usage: ties [OPTIONS] [COMMAND]\n",
    );
    for (title, commands) in GROUPS {
        section(&mut page, title, commands);
    }
    section(&mut page, "Options", &OPTIONS);
    page.push_str(
        "\nWHO is a handle, mail address, phone number, short id, or any unique part of a name.\n\
         A unique beginning of a command is enough: ties im people.vcf\n\n\
         First steps:\n  ties init\n  ties import contacts.vcf\n  ties note ada \"met at the compiler meetup\"\n",
    );
    page
}

fn section(page: &mut String, title: &str, entries: &[(&str, &str)]) {
    page.push_str(&format!("\n{}\n", palette::strong(title)));
    for (usage, about) in entries {
        page.push_str(&format!("  {usage:<22}{about}\n"));
    }
}

/// Where what is said of a command begins.
const INDENT: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_fits_narrow_terminals_and_breaks_no_word() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in [40, 60, 80] {
            let lines: Vec<String> = page().lines().flat_map(|line| fitted(line, width)).collect();
            assert!(lines.iter().all(|line| crate::render::width::columns(line) <= width), "{lines:#?}");
            assert_eq!(words(&lines.join("\n")), words(&page()));
        }
    }
}
