//! One field, two devices, two values: what the command line says of it, and how it is settled.

use crate::support::World;

#[test]
fn both_values_are_shown_with_device_and_time_and_one_word_settles_it_everywhere() {
    let world = World::new();
    let (laptop, phone, _relay) = world.pair();
    laptop.run(&["new", "Ada Lovelace", "ada@mail.example", "org:Acme", "title:CTO"]).ok();
    assert_eq!(laptop.run(&["conflicts"]).ok().out, "No conflicts.\n");
    for device in [&laptop, &phone] {
        device.sync();
    }
    laptop.edit("ada", |text| text.replace("CTO", "CEO"));
    phone.edit("ada", |text| text.replace("CTO", "Chair"));
    laptop.sync();
    let told = phone.run(&["sync"]).ok();
    assert!(told.err.contains("1 field was set to different values on two devices"), "{told}");
    laptop.sync();
    let again = phone.run(&["sync"]).ok();
    assert!(!again.err.contains("different values"), "said once: {again}");

    for device in [&laptop, &phone] {
        let shown = device.run(&["conflicts"]).ok().out;
        for part in ["Ada Lovelace (@ada)", "title", "1  ", "2  ", "CEO", "Chair", "laptop", "phone", "this device"] {
            assert!(shown.contains(part), "{part} is missing: {shown}");
        }
        assert!(device.run(&["show", "ada"]).ok().out.contains("set otherwise on another device: title"));
        assert!(device.run(&["status"]).ok().out.contains("1 field has another value waiting"));
        assert_eq!(device.json(&["status"])["contested"], 1);
    }
    let row = laptop.json(&["conflicts", "ada"])["fields"][0].clone();
    assert_eq!(row["values"][0]["value"], phone.json(&["conflicts"])["fields"][0]["values"][0]["value"]);

    laptop.run(&["resolve", "ada", "title"]).code(2).complains("which value");
    laptop.run(&["resolve", "ada", "mail", "--take", "1"]).code(3).complains("no other value");
    laptop.run(&["resolve", "ada", "title", "--take", "3"]).code(2).complains("no value 3");
    laptop.run(&["resolve", "nobody", "title", "--take", "1"]).code(3);
    let settled = laptop.run(&["resolve", "ada", "title", "--value", "President"]).ok();
    assert!(settled.out.contains("title is President now"), "{settled}");
    for device in [&laptop, &phone] {
        device.sync();
        assert_eq!(device.run(&["conflicts"]).ok().out, "No conflicts.\n");
        assert!(device.run(&["show", "ada"]).ok().out.contains("President"));
    }
}
