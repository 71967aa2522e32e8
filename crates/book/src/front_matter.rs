//! Editable text: TOML between lines of `+++`, then Markdown.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{BookError, ErrorKind};

/// The text of a form and a body, under a few lines of advice.
pub(crate) fn written(advice: &[&str], form: &impl Serialize, body: &str) -> Result<String, BookError> {
    let form = toml::to_string(form)
        .map_err(|error| BookError::new(ErrorKind::Failed, "the record cannot be written as TOML").caused_by(error))?;
    let advice: String = advice.iter().map(|line| format!("# {line}\n")).collect();
    Ok(format!("{FENCE}\n{advice}{form}{FENCE}\n{body}"))
}

/// The form and the body of a text; the place of a mistake is in the error.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<(T, String), BookError> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut lines = text.split_inclusive('\n');
    let mut front = String::new();
    for line in lines.by_ref() {
        // Lines before the form are kept as empty ones, so that the numbers in messages are those of the file.
        front.push('\n');
        if line.trim_end() == FENCE {
            break;
        }
        if !line.trim().is_empty() {
            return Err(mistake(format!("the text does not begin with a line {FENCE}")));
        }
    }
    let rest: Vec<&str> = lines.collect();
    let fences = rest.iter().enumerate().filter(|(_, line)| line.trim_end() == FENCE).map(|(at, _)| at);
    let mut first = None;
    // A fence may be a line of a value; then what stands above it is no form, and what stands above a later one is.
    for fence in fences.take(MAX_FENCES) {
        let (fields, body) = (rest[..fence].concat(), rest[fence + 1..].concat());
        match toml::from_str(&format!("{front}{fields}")) {
            Ok(form) => return Ok((form, body)),
            Err(error) => drop(first.get_or_insert_with(|| misread(&format!("{front}{fields}"), &error))),
        }
    }
    Err(first.unwrap_or_else(|| mistake(format!("the fields are not followed by a line {FENCE}"))))
}

fn misread(front: &str, error: &toml::de::Error) -> BookError {
    let line = error.span().map(|span| front[..span.start].matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    mistake(format!("{place}{}", error.message().lines().collect::<Vec<_>>().join("; ")))
}

/// A mistake in an edited text.
pub(crate) fn mistake(message: impl Into<String>) -> BookError {
    BookError::new(ErrorKind::Usage, message).hint("nothing was changed; mend the text and apply it again")
}

const FENCE: &str = "+++";
/// Every further one costs a reading of all above it.
const MAX_FENCES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        name: String,
    }

    #[test]
    fn what_is_written_is_read() {
        let form = Form { name: "Ada \"the\"\nCountess".into() };
        let text = written(&["advice"], &form, "# Body\n+++\n").unwrap();
        assert_eq!(read::<Form>(&text).unwrap(), (form, "# Body\n+++\n".into()));
    }

    #[test]
    fn a_fence_within_a_value_ends_nothing() {
        let form = Form { name: "one\n+++\ntwo\n+++".into() };
        let text = written(&["advice"], &form, "# Body\n+++\n").unwrap();
        assert_eq!(read::<Form>(&text).unwrap(), (form, "# Body\n+++\n".into()));
    }

    #[test]
    fn mistakes_are_placed() {
        let error = read::<Form>("+++\n# x\nname = \nage = 1\n+++\n").unwrap_err();
        assert!(error.message.starts_with("line 3:"), "{}", error.message);
        let error = read::<Form>("\n+++\nname = 'a'\nage = 1\n+++\n").unwrap_err();
        assert!(error.message.starts_with("line 4:") && error.message.contains("age"), "{}", error.message);
        for text in ["", "name = 'a'", "+++\nname = 'a'\n"] {
            assert_eq!(read::<Form>(text).unwrap_err().kind, ErrorKind::Usage);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"(\+\+\+|name = |\n|\PC){0,20}") {
            let _ = read::<Form>(&text);
        }

        #[test]
        fn any_name_and_body_come_back(name in r"(\PC|\n|\t){0,20}", body in r"(\PC|\n){0,40}") {
            let text = written(&["advice"], &Form { name: name.clone() }, &body).unwrap();
            prop_assert_eq!(read::<Form>(&text).unwrap(), (Form { name }, body));
        }
    }
}
