//! Pictures, sounds and keys: a `data:` URI in vCard 4.0, encoded with a type in 3.0.

use super::property::{Param, Property};

/// The property as vCard 4.0 holds it: a `data:` URI instead of an encoding.
pub(super) fn inlined(mut property: Property) -> Property {
    let Some(_) = property.take("ENCODING") else {
        if property.params.iter().any(|param| param.name == "VALUE" && is_uri(param)) {
            // A URI is what vCard 4.0 expects.
            property.take("VALUE");
        }
        return property;
    };
    let kind = property.take_text("TYPE").to_lowercase();
    property.take("VALUE");
    let media = match (property.name.as_str(), kind.as_str()) {
        (_, kind) if kind.contains('/') => kind.to_owned(),
        ("PHOTO" | "LOGO", "jpg" | "") => "image/jpeg".to_owned(),
        ("PHOTO" | "LOGO", kind) => format!("image/{kind}"),
        ("SOUND", "wave" | "wav") => "audio/wav".to_owned(),
        ("SOUND", kind) if !kind.is_empty() => format!("audio/{kind}"),
        ("KEY", "pgp") => "application/pgp-keys".to_owned(),
        ("KEY", "x509") => "application/pkix-cert".to_owned(),
        _ => "application/octet-stream".to_owned(),
    };
    let mut data: String = property.value.chars().filter(|c| !c.is_whitespace()).collect();
    // Some programs leave the padding away, and others refuse what lacks it.
    if data.len() % 4 > 1 && !data.ends_with('=') {
        data.extend(std::iter::repeat_n('=', 4 - data.len() % 4));
    }
    property.value = format!("data:{media};base64,{data}");
    property
}

/// The property as vCard 3.0 holds it.
pub(super) fn encoded(mut property: Property) -> Property {
    let Some((media, data)) = base64(&property) else {
        if property.params.iter().all(|param| param.name != "VALUE") {
            property.params.push(Param::new("VALUE", "uri"));
        }
        return property;
    };
    let word = match (media.as_str(), media.split_once('/')) {
        ("audio/wav", _) => "WAVE".to_owned(),
        ("application/pgp-keys", _) => "PGP".to_owned(),
        ("application/pkix-cert", _) => "X509".to_owned(),
        ("application/octet-stream", _) if matches!(property.name.as_str(), "KEY" | "SOUND") => String::new(),
        (_, Some(("image" | "audio", kind))) if kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            kind.to_ascii_uppercase()
        }
        _ => media,
    };
    property.params.insert(0, Param::new("ENCODING", "b"));
    if !word.is_empty() {
        property.params.insert(1, Param::new("TYPE", &word));
    }
    property.value = data;
    property
}

/// How many bytes the property holds, if it holds them itself.
pub(super) fn size(property: &Property) -> Option<usize> {
    base64(property).map(|(_, data)| data.trim_end_matches('=').len() * 3 / 4)
}

/// Whether this is one of the properties that hold media.
pub(super) fn is_media(property: &Property) -> bool {
    matches!(property.name.as_str(), "PHOTO" | "LOGO" | "SOUND" | "KEY")
}

/// Type and data of a `data:` URI, if they are in base64.
fn base64(property: &Property) -> Option<(String, String)> {
    let (media, data) = property.value.strip_prefix("data:")?.split_once(',')?;
    let media = media.strip_suffix(";base64").or_else(|| media.strip_suffix("\\;base64"))?;
    Some((media.to_ascii_lowercase(), data.to_owned()))
}

fn is_uri(param: &Param) -> bool {
    param.values.iter().any(|value| value.eq_ignore_ascii_case("uri") || value.eq_ignore_ascii_case("url"))
}
