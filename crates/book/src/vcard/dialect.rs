use ties_model::{Anniversary, AnniversaryKind, Marks, PartialDate, Relation};

use super::property::{Param, escape};

/// For whom cards are written.
///
/// [`Self::V4`] and [`Self::V3`] hold everything; the others are 3.0 as far as one program reads it, in the forms in
/// which it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// vCard 4.0 (RFC 6350).
    #[default]
    V4,
    /// vCard 3.0 (RFC 2426), with registered parameters of 4.0 where 3.0 has none.
    V3,
    /// What Apple's Contacts and iCloud read.
    Apple,
    /// What Google Contacts reads.
    Google,
    /// What Outlook reads.
    Outlook,
}

/// A date as it is written: the property, its label, its parameters and its value.
pub(super) struct Dated<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) params: Vec<Param>,
    pub(super) value: String,
}

impl Dialect {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::V4, Self::V3, Self::Apple, Self::Google, Self::Outlook];

    pub(super) fn is_v4(self) -> bool {
        self == Self::V4
    }

    /// Whether it is for one program, which would only stumble over what it does not know.
    pub(super) fn is_for_one(self) -> bool {
        matches!(self, Self::Apple | Self::Google | Self::Outlook)
    }

    pub(super) fn version(self) -> &'static str {
        if self.is_v4() { "4.0" } else { "3.0" }
    }

    /// TYPE and PREF: a list and a number in 4.0, a parameter for each word in 3.0.
    pub(super) fn marks<'a>(self, marks: &'a Marks, features: impl IntoIterator<Item = &'a str>) -> Vec<Param> {
        let contexts = marks.contexts.iter().map(|context| match context.as_str() {
            "private" => "home",
            context => context,
        });
        let types: Vec<&str> = contexts.chain(features).collect();
        let mut params = Vec::new();
        if self.is_v4() {
            params.extend((!types.is_empty()).then(|| Param::list("TYPE", types)));
            params.extend(marks.pref.map(|pref| Param::new("PREF", &pref.to_string())));
            return params;
        }
        params.extend(types.into_iter().map(|word| Param::new("TYPE", word)));
        match marks.pref {
            Some(1) => params.push(Param::new("TYPE", "pref")),
            Some(pref) if !self.is_for_one() => params.push(Param::new("PREF", &pref.to_string())),
            _ => {}
        }
        params
    }

    /// A label as the program wants it: those that Apple translates are wrapped.
    pub(super) fn label(self, label: &str) -> String {
        match self {
            Self::Apple | Self::Google if APPLE_LABELS.contains(&label) => format!("_$!<{label}>!$_"),
            _ => escape(label),
        }
    }

    /// How a date is written; `first` says whether it is the first of its kind.
    ///
    /// vCard has one birthday, one day of death and one wedding; Apple's X-ABDATE takes the others.
    pub(super) fn date(self, anniversary: &Anniversary, first: bool) -> Dated<'_> {
        let own = anniversary.marks.label.as_str();
        let (name, label) = match &anniversary.kind {
            AnniversaryKind::Birth if first => ("BDAY", own),
            AnniversaryKind::Death if first => ("DEATHDATE", own),
            AnniversaryKind::Wedding if first => match self {
                Self::V4 => ("ANNIVERSARY", own),
                Self::V3 => ("X-ANNIVERSARY", own),
                Self::Outlook => ("X-MS-ANNIVERSARY", own),
                Self::Apple | Self::Google => ("X-ABDATE", if own.is_empty() { "Anniversary" } else { own }),
            },
            AnniversaryKind::Wedding if own.is_empty() => ("X-ABDATE", "Anniversary"),
            AnniversaryKind::Other => ("X-ABDATE", own),
            kind if own.is_empty() => ("X-ABDATE", kind.as_str()),
            _ => ("X-ABDATE", own),
        };
        let mut params = self.marks(&anniversary.marks, []);
        let words = says_more(anniversary) && !self.is_for_one();
        if let Some(value) = anniversary.date.filter(|_| !words).and_then(|date| self.day(date, &mut params)) {
            return Dated { name, label, params, value };
        }
        // What 3.0 cannot say stands in a property of our own, where no other program takes it for a date.
        let name = match name {
            _ if self.is_v4() => name,
            "BDAY" => "X-TIES-BDAY",
            "DEATHDATE" => "X-TIES-DEATHDATE",
            "X-ABDATE" => "X-TIES-DATE",
            _ => "X-TIES-ANNIVERSARY",
        };
        let value = match anniversary.date {
            Some(date) if !words => date.to_vcard4(),
            Some(_) => escape(&anniversary.text),
            None => {
                params.push(Param::new("VALUE", "text"));
                escape(&anniversary.text)
            }
        };
        Dated { name, label, params, value }
    }

    /// A date in the form of the version, unless it has none.
    fn day(self, date: PartialDate, params: &mut Vec<Param>) -> Option<String> {
        match (self, date.year(), date.month(), date.day()) {
            (Self::V4, ..) => Some(date.to_vcard4()),
            (_, Some(_), Some(_), Some(_)) => Some(date.to_string()),
            (Self::V3 | Self::Google, None, Some(_), Some(_)) => Some(date.to_string()),
            // Outlook has no dates without a year and shows this one; Apple hides it.
            (Self::Apple | Self::Outlook, None, Some(month), Some(day)) => {
                if self == Self::Apple {
                    params.push(Param::new("X-APPLE-OMIT-YEAR", "1604"));
                }
                Some(format!("1604-{month:02}-{day:02}"))
            }
            _ => None,
        }
    }

    /// How somebody's name is written who is related to the person: property, label, parameters.
    pub(super) fn related_name(self, relation: &Relation) -> (&'static str, String, Vec<Param>) {
        let kinds = relation.kinds.iter().map(String::as_str);
        let mut params = self.marks(&relation.marks, kinds.clone());
        let own = relation.marks.label.clone();
        if self.is_v4() {
            params.push(Param::new("VALUE", "text"));
            return ("RELATED", own, params);
        }
        if self == Self::Outlook {
            match own.as_str() {
                "" if relation.kinds.contains("spouse") => return ("X-MS-SPOUSE", own, params),
                "Manager" => return ("X-MS-MANAGER", own, params),
                "Assistant" => return ("X-MS-ASSISTANT", own, params),
                _ => {}
            }
        }
        let label = match own.is_empty() {
            true => kinds.map(capital).collect::<Vec<_>>().join(", "),
            false => own,
        };
        ("X-ABRELATEDNAMES", label, params)
    }
}

/// Whether the words of a date say more than the date.
fn says_more(anniversary: &Anniversary) -> bool {
    !anniversary.text.is_empty() && PartialDate::from_vcard(&anniversary.text).ok() == anniversary.date
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The labels that Apple's programs translate, which they write as `_$!<Work>!$_`.
const APPLE_LABELS: [&str; 24] = [
    "Home",
    "Work",
    "Other",
    "Mobile",
    "Main",
    "HomeFax",
    "WorkFax",
    "OtherFax",
    "Pager",
    "HomePage",
    "Anniversary",
    "Father",
    "Mother",
    "Parent",
    "Brother",
    "Sister",
    "Child",
    "Son",
    "Daughter",
    "Friend",
    "Spouse",
    "Partner",
    "Assistant",
    "Manager",
];
