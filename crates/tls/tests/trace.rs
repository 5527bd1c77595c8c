//! The trace of records, in the format of OpenSSL's `SSL_trace`.

use std::sync::{Arc, Mutex};

use offloop_tls::{Answer, TraceSink};

use crate::certificates::Algorithm;
use crate::pair::{Cut, Pair, TLS12, TLS13, client, context};

#[derive(Debug, Default)]
struct Text(Mutex<String>);

impl TraceSink for Text {
    fn text(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

impl Text {
    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Every record: who sent it, its type, and the messages in it.
    fn records(&self) -> Vec<String> {
        let text = self.take();
        let mut records: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(verb) = line.strip_suffix(" Record") {
                records.push(verb.to_owned());
            } else if let Some(content) = line.strip_prefix("  Content Type = ") {
                records.last_mut().unwrap().push_str(&format!(" {content}"));
            } else if let Some(message) = line.strip_prefix("    ") {
                let name = message.split(", ").next().unwrap();
                records.last_mut().unwrap().push_str(&format!(" {name}"));
            }
        }
        records
    }
}

fn traced(versions: &[&'static rustls::SupportedProtocolVersion], cut: Cut) -> (Pair, Arc<Text>) {
    let text = Arc::new(Text::default());
    let answer = Answer { trace: Some(Arc::clone(&text) as _), ..Answer::default() };
    let pair = Pair::new(client(versions), context(Algorithm::P256));
    (pair.answer(answer).cut(cut).run(), text)
}

#[test]
fn the_first_record_is_told_as_openssl_does() {
    let (pair, text) = traced(TLS13, Cut::Whole);
    let length = usize::from(pair.from_client[3]) * 256 + usize::from(pair.from_client[4]);
    let expected = format!(
        "Received Record\nHeader:\n  Version = TLS 1.0 (0x301)\n  Content Type = Handshake (22)\n  \
         Length = {length}\n    ClientHello, Length={}\n\n",
        length - 4
    );
    assert!(text.take().starts_with(&expected));
}

#[test]
fn messages_are_told_until_they_are_encrypted() {
    for cut in [Cut::Whole, Cut::Bytes] {
        let (_, text) = traced(TLS12, cut);
        let records = text.records();
        assert_eq!(records[0], "Received Handshake (22) ClientHello");
        let answers = records.iter().filter(|record| record.starts_with("Sent Handshake (22) "));
        let answers: Vec<_> =
            answers.map(|record| &record["Sent Handshake (22) ".len()..]).collect();
        let all = answers.join(" ");
        assert!(
            all.starts_with("ServerHello Certificate ServerKeyExchange ServerHelloDone"),
            "{all}"
        );
        let received: Vec<_> =
            records.iter().filter(|record| record.starts_with("Received")).skip(1).collect();
        assert_eq!(
            received,
            [
                "Received Handshake (22) ClientKeyExchange",
                "Received ChangeCipherSpec (20) change_cipher_spec (1)",
                "Received Handshake (22)",
            ]
        );
        assert_eq!(records.last().unwrap(), "Sent Handshake (22)");
    }
}

#[test]
fn encrypted_records_of_tls13_are_told_by_their_headers() {
    let (mut pair, text) = traced(TLS13, Cut::Bytes);
    let records = text.records();
    assert_eq!(records[0], "Received Handshake (22) ClientHello");
    assert_eq!(records[1], "Sent Handshake (22) ServerHello");
    assert_eq!(records[2], "Sent ChangeCipherSpec (20) change_cipher_spec (1)");
    assert!(records.contains(&"Received ApplicationData (23)".to_owned()));
    pair.assert_echo();
    assert_eq!(text.records(), ["Received ApplicationData (23)", "Sent ApplicationData (23)"]);
    pair.records().set_trace(None);
    pair.assert_echo();
    assert_eq!(text.take(), "");
}

#[test]
fn an_alert_that_ends_the_handshake_is_told() {
    let text = Arc::new(Text::default());
    let answer = Answer { trace: Some(Arc::clone(&text) as _), ..Answer::default() };
    let mut config = client(TLS12);
    config.alpn_protocols = vec![b"a".to_vec()];
    let context =
        crate::pair::context_with(Algorithm::P256, |options| options.alpn = vec![b"b".to_vec()]);
    let pair = Pair::new(config, context).answer(answer).run();
    assert_eq!(pair.alert_at_client(), Some(120));
    assert!(text.take().ends_with(
        "Sent Record\nHeader:\n  Version = TLS 1.2 (0x303)\n  Content Type = Alert (21)\n  \
         Length = 2\n    Level=fatal(2), description=no application protocol(120)\n\n"
    ));
}

#[test]
fn a_trace_can_start_in_the_middle_of_records() {
    use std::io::Write;
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::new(client(versions), context(Algorithm::P256)).run();
        let text = Arc::new(Text::default());
        let mut bytes = Vec::new();
        for data in [b"first", b"other"] {
            pair.client.writer().write_all(data).unwrap();
            pair.client.write_tls(&mut bytes).unwrap();
        }
        pair.records().seal(b"before");
        pair.records().write_to(&mut &mut [0; 10][..]).unwrap();
        let mut plaintext = Vec::new();
        pair.records().receive(&bytes[..3], &mut plaintext).unwrap();
        pair.records().set_trace(Some(Arc::clone(&text) as _));
        pair.records().receive(&bytes[3..], &mut plaintext).unwrap();
        assert_eq!(plaintext, b"firstother");
        let received = "Received ApplicationData (23)";
        assert_eq!(text.records(), [received, received]);

        let mut sent = Vec::new();
        pair.records().write_to(&mut sent).unwrap();
        assert_eq!(text.take(), "");
        pair.records().seal(b"behind");
        pair.records().write_to(&mut sent).unwrap();
        assert_eq!(text.records(), ["Sent ApplicationData (23)"]);
    }
}
