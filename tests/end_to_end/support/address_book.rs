//! Files of contacts as people have them, in which every telling word is known.

/// One person whose names, mail, employer and note are made of these five words, in vCard 2.1, 3.0 or 4.0.
pub(crate) fn card(words: &[&str; 5], version: &str) -> String {
    let [given, family, company, host, remark] = words;
    let (user, domain) = (given.to_lowercase(), host.to_lowercase());
    let note = format!("Talked about {remark} over lunch.");
    let rest = match version {
        "2.1" => format!(
            "N:{family};{given}\r\nEMAIL;INTERNET;WORK:{user}@{domain}.example\r\n\
             NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:{note}=0D=0AErz=C3=A4hlte viel.\r\n"
        ),
        "3.0" => format!(
            "N:{family};{given};;Dr.;\r\nitem1.EMAIL;TYPE=INTERNET:{user}@{domain}.example\r\n\
             item1.X-ABLabel:{OLD_LABEL}\r\nTEL;TYPE=CELL,VOICE:+43 660 7{:06}\r\nNOTE:{note}\\nErzählte viel.\r\n",
            given.bytes().map(u32::from).sum::<u32>()
        ),
        _ => format!(
            "N:{family};{given};;;\r\nEMAIL;TYPE=work;PREF=1:{user}@{domain}.example\r\nBDAY:--0412\r\n\
             ADR;TYPE=home:;;Lindengasse 4;Wien;;1070;Austria\r\nNOTE:{note}\\nErzählte viel.\r\n"
        ),
    };
    format!(
        "BEGIN:VCARD\r\nVERSION:{version}\r\nFN:{given} {family}\r\n{rest}ORG:{company} GmbH;Research\r\n\
         TITLE:Engineer\r\nEND:VCARD\r\n"
    )
}

/// A person for every five words, the versions of vCard in turn.
pub(crate) fn cards(words: &[&str]) -> String {
    let fives = words.as_chunks::<5>().0.iter();
    fives.zip(["3.0", "4.0", "2.1"].iter().cycle()).map(|(five, version)| card(five, version)).collect()
}

/// The label of the mail address in a card of version 3.0.
pub(crate) const OLD_LABEL: &str = "Atelier";
