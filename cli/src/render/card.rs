//! A person or a note as a reader wants to see it.

use ties_book::api::{Labelled, NoteKind, NoteView, OrganizationView, PersonRow, PersonView};

use super::width::{pad, wrap, wrap_hanging};
use super::{inline, palette, paragraph};

/// `Ada Lovelace (@ada)`.
pub(crate) fn title(person: &PersonRow) -> String {
    let handle = palette::code(&format!("@{}", inline(&person.handle)));
    format!("{} ({handle})", palette::strong(&inline(&person.name)))
}

/// The title, what the person does where, and the tags, in one line.
pub(crate) fn headline(person: &PersonRow) -> String {
    let mut line = title(person);
    let position = position(person);
    if !position.is_empty() {
        line.push_str(&format!("  {position}"));
    }
    if !person.tags.is_empty() {
        line.push_str(&format!("  {}", tags(person)));
    }
    line
}

/// The lines of a whole person; `all` shows the fields kept for other programs as well.
pub(crate) fn person(person: &PersonView, all: bool, width: Option<usize>) -> Vec<String> {
    let row = &person.row;
    let short = palette::faint(&format!("[{}]", inline(&row.short)));
    let mut lines = vec![format!("{}  {short}", title(row))];
    lines.extend([position(row), tags(row)].into_iter().filter(|line| !line.is_empty()));
    let mut fields = Fields { width, ..Fields::default() };
    fields.texts("also called", &person.nicknames);
    fields.values("mail", &person.emails);
    fields.values("phone", &person.phones);
    fields.values("address", &person.addresses);
    fields.values("profile", &person.profiles);
    fields.values("link", &person.links);
    if person.organizations.len() > 1 || row.organization.is_empty() {
        fields.values("organization", &person.organizations);
    }
    if person.titles.len() > 1 || row.title.is_empty() {
        fields.values("title", &person.titles);
    }
    for date in &person.dates {
        fields.add(&date.label, &date_in_words(&date.value), "");
    }
    fields.values("related", &person.relations);
    fields.add("met", &met(person), "");
    if all {
        fields.texts("kept", &person.extra);
    }
    if !fields.lines.is_empty() {
        lines.push(String::new());
        lines.append(&mut fields.lines);
    }
    if !all && !person.extra.is_empty() {
        let kept = super::amount::counted(person.extra.len() as u64, "more field", "more fields");
        lines.push(palette::faint(&format!("  {kept} kept for other programs (--all)")));
    }
    lines.extend(contested(&person.contested, &row.handle));
    for written in &person.notes {
        lines.push(String::new());
        lines.extend(note(written, "  ", width));
    }
    lines
}

/// The lines of what is known of an organization beside its people and notes.
pub(crate) fn organization(view: &OrganizationView, all: bool, width: Option<usize>) -> Vec<String> {
    let mut fields = Fields { width, ..Fields::default() };
    fields.texts("also called", &view.aliases);
    fields.texts("domain", &view.domains);
    fields.values("mail", &view.emails);
    fields.values("phone", &view.phones);
    fields.values("address", &view.addresses);
    fields.values("profile", &view.profiles);
    fields.values("link", &view.links);
    if all {
        fields.texts("kept", &view.extra);
    }
    let mut lines = fields.lines;
    if !all && !view.extra.is_empty() {
        let kept = super::amount::counted(view.extra.len() as u64, "more field", "more fields");
        lines.push(palette::faint(&format!("  {kept} kept for other programs (ties show NAME --all)")));
    }
    let short = view.row.short.as_deref().unwrap_or_default();
    lines.extend(contested(&view.contested, short));
    lines
}

/// One line for the fields that have another value waiting.
fn contested(fields: &[String], word: &str) -> Option<String> {
    let fields: Vec<_> = fields.iter().map(|field| inline(field)).collect();
    let text = format!("  set otherwise on another device: {} (ties conflicts {})", fields.join(", "), inline(word));
    (!fields.is_empty()).then(|| palette::warning(&text))
}

/// The lines of a note, the text set in under a heading of date, kind and id.
pub(crate) fn note(note: &NoteView, indent: &str, width: Option<usize>) -> Vec<String> {
    let mut heading: Vec<String> = Vec::new();
    heading.extend(note.created.as_deref().map(day));
    if note.kind != NoteKind::Note {
        heading.push(kind(note.kind).to_owned());
    }
    heading.push(format!("[{}]", inline(&note.short)));
    let mut lines = vec![format!("{indent}{}", palette::faint(&heading.join(" · ")))];
    let body = paragraph(note.body.trim_end());
    let most = width.map_or(usize::MAX, |width| width.saturating_sub(indent.len() + 2).max(20));
    for line in wrap(&body, most) {
        lines.push(format!("{indent}  {line}").trim_end().to_owned());
    }
    lines
}

/// What a kind of note is called.
pub(crate) fn kind(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Note => "note",
        NoteKind::Fact => "fact",
        NoteKind::Topic => "topic",
        NoteKind::GiftIdea => "gift idea",
        NoteKind::Question => "question",
    }
}

fn position(person: &PersonRow) -> String {
    let parts = [&person.title, &person.organization];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(|part| inline(part)).collect();
    parts.join(" · ")
}

fn tags(person: &PersonRow) -> String {
    let tags: Vec<String> = person.tags.iter().map(|tag| format!("+{}", inline(tag))).collect();
    if tags.is_empty() { String::new() } else { palette::good(&tags.join(" ")) }
}

/// When, through whom and how we met, in one line.
fn met(person: &PersonView) -> String {
    let mut parts = Vec::new();
    if !person.met_on.is_empty() {
        parts.push(date_in_words(&person.met_on));
    }
    if !person.met_through.is_empty() {
        parts.push(format!("through {}", person.met_through));
    }
    if !person.how_met.is_empty() {
        parts.push(person.how_met.clone());
    }
    parts.join(", ")
}

/// An RFC 3339 instant as a day here: `Sat 21 Nov 2026`.
fn day(instant: &str) -> String {
    match instant.parse::<jiff::Timestamp>() {
        Ok(instant) => {
            let here = instant.to_zoned(jiff::tz::TimeZone::system());
            here.strftime("%a %-d %b %Y").to_string()
        }
        Err(_) => inline(instant).into_owned(),
    }
}

/// A date, whole or in part, as a reader says it: `5 May 1970`, `May 1970`, `1970`, `27 Nov`; another as it is.
fn date_in_words(date: &str) -> String {
    let numbers = |text: &str| text.split('-').map(|part| part.parse::<i16>().ok()).collect::<Option<Vec<i16>>>();
    let month = |month: i16| MONTHS.get(usize::try_from(month - 1).unwrap_or(MONTHS.len())).copied();
    let spoken = match (date.strip_prefix("--"), numbers(date.trim_start_matches("--")).as_deref()) {
        (None, Some(&[year, number, day])) => month(number).map(|month| format!("{day} {month} {year}")),
        (None, Some(&[year, number])) => month(number).map(|month| format!("{month} {year}")),
        (Some(_), Some(&[number, day])) => month(number).map(|month| format!("{day} {month}")),
        _ => None,
    };
    spoken.unwrap_or_else(|| date.to_owned())
}

/// Fields with their names in a column; a name is shown once for several values.
#[derive(Default)]
struct Fields {
    lines: Vec<String>,
    last: String,
    width: Option<usize>,
}

impl Fields {
    fn add(&mut self, name: &str, value: &str, label: &str) {
        if value.is_empty() {
            return;
        }
        let shown = if self.last == name { "" } else { name };
        let name_column = palette::faint(&pad(&inline(shown), NAME));
        let label = match label {
            "" => String::new(),
            label => format!("  {}", palette::faint(&inline(label))),
        };
        // An address has lines; each stands under the first.
        let value = paragraph(value).replace('\n', ", ");
        let line = format!("  {name_column} {value}{label}");
        match self.width {
            Some(width) => self.lines.extend(wrap_hanging(&line, NAME + 3, width)),
            None => self.lines.push(line),
        }
        name.clone_into(&mut self.last);
    }

    fn values(&mut self, name: &str, values: &[Labelled]) {
        values.iter().for_each(|one| self.add(name, &one.value, &one.label));
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        texts.iter().for_each(|text| self.add(name, text, ""));
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The width of the column of names.
const NAME: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> PersonView {
        PersonView {
            row: PersonRow {
                short: "3f2a".into(),
                handle: "ada".into(),
                name: "Ada\u{202e} Lovelace".into(),
                organization: "Acme".into(),
                title: "CTO".into(),
                tags: vec!["rust".into(), "math".into()],
                ..PersonRow::default()
            },
            emails: vec![
                Labelled { value: "ada@acme.example".into(), label: "work".into() },
                Labelled { value: "ada@home.example".into(), label: String::new() },
            ],
            addresses: vec![Labelled { value: "12 High St\nLondon".into(), label: "home".into() }],
            dates: vec![Labelled { value: "1815-12-10".into(), label: "birthday".into() }],
            met_on: "2026-05".into(),
            met_through: "Grace (@grace)".into(),
            extra: vec!["X-ODD:1".into()],
            notes: vec![NoteView {
                short: "9c1e".into(),
                kind: NoteKind::Topic,
                body: "one two three four five six seven eight\n\u{1b}[2Jend\n".into(),
                ..NoteView::default()
            }],
            ..PersonView::default()
        }
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_card_shows_everything_once_and_nothing_raw() {
        assert_eq!(
            plain(&person(&ada(), false, Some(37))),
            "Ada\\u{202e} Lovelace (@ada)  [3f2a]\n\
             CTO · Acme\n\
             +rust +math\n\
             \n\
             \u{20} mail         ada@acme.example  work\n\
             \u{20}              ada@home.example\n\
             \u{20} address      12 High St, London\n\
             \u{20}              home\n\
             \u{20} birthday     10 Dec 1815\n\
             \u{20} met          May 2026, through\n\
             \u{20}              Grace (@grace)\n\
             \u{20} 1 more field kept for other programs (--all)\n\
             \n\
             \u{20} topic · [9c1e]\n\
             \u{20}   one two three four five six seven\n\
             \u{20}   eight\n\
             \u{20}   \\u{1b}[2Jend"
        );
    }

    #[test]
    fn a_date_of_which_a_part_is_known_is_said_as_far_as_it_goes() {
        let cases = [
            ("1970-05-05", "5 May 1970"),
            ("2020-05", "May 2020"),
            ("2020", "2020"),
            ("--11-27", "27 Nov"),
            ("2020-13-01", "2020-13-01"),
            ("2020-00-01", "2020-00-01"),
            ("next spring", "next spring"),
        ];
        for (date, spoken) in cases {
            assert_eq!(date_in_words(date), spoken);
        }
    }

    #[test]
    fn without_a_terminal_a_note_keeps_its_lines() {
        let lines = note(&ada().notes[0], "", None);
        assert_eq!(plain(&lines), "topic · [9c1e]\n  one two three four five six seven eight\n  \\u{1b}[2Jend");
    }

    #[test]
    fn a_day_is_named_in_full() {
        assert!(day("2026-11-21T12:00:00Z").ends_with("Nov 2026"));
        assert_eq!(day("not a time\u{7}"), "not a time\\u{7}");
    }
}
