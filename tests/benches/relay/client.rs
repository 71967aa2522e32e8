//! A connection that speaks just enough of the protocol to load a relay, and costs little itself.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use ties_net::{Link, LinkReader, LinkWriter, RelayAddress, connect};
use ties_sealed_log::{AccessList, PseudonymKey, Vector};
use ties_sync::{Channel, ExpectHello, Message, VERSION, WINDOW};

use crate::crowd::Writer;

/// A proven connection.
pub(crate) struct Client {
    link: Link,
}

impl Client {
    pub(crate) async fn connect(address: &RelayAddress, key: &PseudonymKey) -> Self {
        let mut link = connect(address).await.expect("the relay is there");
        let channel = Channel { host: link.host().to_owned(), exporter: *link.exporter() };
        let hello = link.recv().await.expect("a link").expect("a hello");
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (expect, auth) =
            ExpectHello::new(channel, address.key()).handle(&hello, key, &mut rng).expect("a good hello");
        link.send(auth).await.expect("a link");
        expect.handle(&link.recv().await.expect("a link").expect("a welcome")).expect("a good welcome");
        Self { link }
    }

    pub(crate) async fn create(&mut self, writer: &Writer) {
        self.say(&Message::Create { statement: writer.first().bytes().to_vec().into(), token: None }).await;
        assert!(matches!(self.hear().await, Message::Created { .. }));
    }

    /// Begins a session about a mailbox that holds nothing yet.
    pub(crate) async fn open(&mut self, writer: &Writer) {
        let list = AccessList::begin(writer.first().clone()).expect("a first statement");
        let (access, digest) = (list.digest(), Vector::default().digest());
        self.say(&Message::Open { version: VERSION, subject: writer.mailbox().0, access, digest }).await;
        assert!(matches!(self.hear().await, Message::Open { .. }));
    }

    /// Brings the opening of the writer's log.
    pub(crate) async fn introduce(&mut self, writer: &Writer) {
        self.say(&Message::Openings(vec![writer.opening().into()])).await;
    }

    /// Sends entries as fast as credit comes back, until all are acknowledged.
    pub(crate) async fn send_all(self, frames: Vec<Vec<u8>>) {
        let (mut reader, mut writer) = self.link.split();
        let (mut in_flight, mut next) = (0, 0);
        while next < frames.len() || in_flight > 0 {
            while next < frames.len() && in_flight + frames[next].len() <= WINDOW as usize {
                in_flight += entries(&frames[next]).1;
                writer.send(frames[next].clone()).await.expect("a link");
                next += 1;
                // Acknowledgements are taken as they come, or both ends would wait for each other.
                if next % 64 == 0 {
                    break;
                }
            }
            if next == frames.len() || in_flight + frames[next].len() > WINDOW as usize {
                in_flight -= credit(&mut reader).await;
            }
            while let Some(more) = waiting(&mut reader).await {
                in_flight -= more;
            }
        }
    }

    /// Takes and acknowledges entries until so many have come.
    pub(crate) async fn listen(self, count: usize) {
        let (mut reader, mut writer) = self.link.split();
        let mut heard = 0;
        while heard < count {
            let frame = reader.recv().await.expect("a link").expect("a relay that goes on");
            let (entries, bytes) = entries(&frame);
            if entries > 0 {
                heard += entries;
                answer(&mut writer, bytes).await;
            }
        }
    }

    async fn say(&mut self, message: &Message) {
        self.link.send(message.encode()).await.expect("a link");
    }

    async fn hear(&mut self) -> Message {
        let frame = self.link.recv().await.expect("a link").expect("an answer");
        Message::decode(&frame).expect("a relay speaks properly")
    }
}

async fn answer(writer: &mut LinkWriter, bytes: usize) {
    let credit = u32::try_from(bytes).expect("less than a window");
    writer.send(Message::Ack { tips: vec![], credit }.encode()).await.expect("a link");
}

/// Waits for an acknowledgement; gives its credit.
async fn credit(reader: &mut LinkReader) -> usize {
    loop {
        let frame = reader.recv().await.expect("a link").expect("a relay that goes on");
        if let Some(credit) = credit_of(&frame) {
            return credit;
        }
    }
}

/// The credit of an acknowledgement that is here already.
async fn waiting(reader: &mut LinkReader) -> Option<usize> {
    tokio::select! {
        biased;
        credit = credit(reader) => Some(credit),
        () = std::future::ready(()) => None,
    }
}

fn credit_of(frame: &[u8]) -> Option<usize> {
    match Message::decode(frame).expect("a relay speaks properly") {
        Message::Ack { credit, .. } => Some(credit as usize),
        Message::Refused { reason, .. } => panic!("refused: {reason}"),
        _ => None,
    }
}

/// How many entries a frame holds and how many bytes, without copying them; none in any other message.
fn entries(frame: &[u8]) -> (usize, usize) {
    const ENTRIES: u8 = 4;
    let Some((&ENTRIES, rest)) = frame.split_first() else { return (0, 0) };
    let (count, mut rest) = varint(rest);
    let mut bytes = 0;
    for _ in 0..count {
        let (length, after) = varint(rest);
        bytes += length;
        rest = &after[length..];
    }
    (count, bytes)
}

/// A number as postcard writes it.
fn varint(bytes: &[u8]) -> (usize, &[u8]) {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (number, &bytes[place + 1..]);
        }
    }
    panic!("a number without an end");
}
