use countersign_protos::TEST_KEYS;
use temporalio_common::data_converters::WorkflowSerializationContext;
use temporalio_common::protos::temporal::api::{
    common::v1::{Payloads, SearchAttributes},
    failure::v1::Failure,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use super::*;

/// What Python's `cryptography` makes by `AESGCM(key).encrypt(nonce, payload.SerializeToString(), None)` of a payload in
/// `json/plain` with the data `"hush"`, under the first test key and the nonce of 0 to 11.
const BY_PYTHON: &str =
    "AAECAwQFBgcICQoLMx3yg5p7R/IBp2deFgyEBhTuOvEIK8APTTUVtQHAoVjibS0vG3Q2qzBvnojO2jHL";

fn keys(text: &str) -> PayloadKeys {
    text.parse().expect("good keys")
}

fn old_and_new() -> [String; 2] {
    [format!("old:{}", TEST_KEYS[0]), format!("new:{}", TEST_KEYS[1])]
}

fn codec(text: &str) -> Codec {
    Codec(Arc::new(keys(text)))
}

fn plain() -> Payload {
    let metadata = [(ENCODING.to_owned(), b"json/plain".to_vec())].into();
    Payload { metadata, data: b"\"hush\"".to_vec(), ..Payload::default() }
}

fn in_workflow() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}

async fn encode(codec: &Codec, payload: Payload) -> Payload {
    codec.encode(&in_workflow(), vec![payload]).await.expect("encrypted").remove(0)
}

async fn decode(codec: &Codec, payload: Payload) -> Result<Payload, String> {
    let decoded = codec.decode(&in_workflow(), vec![payload]).await;
    decoded.map(|mut decoded| decoded.remove(0)).map_err(|error| error.to_string())
}

#[tokio::test]
async fn what_is_encrypted_says_with_which_key_and_is_never_the_same_twice() {
    let [old, _] = old_and_new();
    let codec = codec(&old);
    let (one, other) = (encode(&codec, plain()).await, encode(&codec, plain()).await);
    assert_ne!(one.data, other.data);
    assert!(!one.data.windows(4).any(|bytes| bytes == b"hush"), "{one:?}");
    assert_eq!((&*one.metadata[ENCODING], &*one.metadata[KEY_ID]), (ENCRYPTED, &b"old"[..]));
    for payload in [one, other, plain(), Payload::default()] {
        let is_encrypted = encrypted_with(&payload.metadata).is_some();
        let expected = if is_encrypted { plain() } else { payload.clone() };
        assert_eq!(decode(&codec, payload).await, Ok(expected));
    }
    // What others have encrypted comes back as it was, too.
    let twice = encode(&codec, encode(&codec, plain()).await).await;
    let once = decode(&codec, twice).await.expect("decrypted");
    assert_eq!(decode(&codec, once).await, Ok(plain()));
}

#[tokio::test]
async fn what_pythons_cryptography_has_encrypted_is_read() {
    let data =
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, BY_PYTHON).expect("base64");
    let metadata = [(ENCODING, ENCRYPTED), (KEY_ID, b"old")];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_vec())).into();
    let payload = Payload { metadata, data: data.clone(), ..Payload::default() };
    let [old, _] = old_and_new();
    assert_eq!(decode(&codec(&old), payload).await, Ok(plain()));
    let nonce = std::array::from_fn(|i| i as u8);
    assert_eq!(keys(&old).encrypted(nonce, plain().encode_to_vec()), ("old", data));
}

#[tokio::test]
async fn at_each_step_of_a_rotation_everybody_reads_everything() {
    let [old, new] = old_and_new();
    let steps =
        [format!("none,{old}"), old.clone(), format!("{old},{new}"), format!("{new}\n{old}\n")];
    for pair in steps.windows(2) {
        for (writes, reads) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let written = encode(&codec(writes), plain()).await;
            assert_eq!(decode(&codec(reads), written).await, Ok(plain()), "{writes} to {reads}");
        }
    }
    assert_eq!(encode(&codec(&steps[0]), plain()).await, plain(), "nothing is encrypted yet");
    let dropped = encode(&codec(&old), plain()).await;
    let why = decode(&codec(&new), dropped.clone()).await.expect_err("its key is gone");
    assert!(why.contains("\"old\"") && why.contains("COUNTERSIGN_PAYLOAD_KEYS_FILE"), "{why}");
    let read = codec(&new).decode(&SerializationContextData::None, vec![dropped.clone()]).await;
    assert_eq!(read.expect("whoever only looks reads on"), [dropped]);
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_not_decrypted_and_stops_nothing() {
    let [old, _] = old_and_new();
    let codec = codec(&old);
    let good = encode(&codec, plain()).await;
    for i in 0..good.data.len() {
        let mut changed = good.clone();
        changed.data[i] ^= 1;
        assert_eq!(decode(&codec, changed.clone()).await, Ok(changed), "byte {i}");
    }
    let mut nobodys = good.clone();
    nobodys.metadata.remove(KEY_ID);
    assert_eq!(decode(&codec, nobodys.clone()).await, Ok(nobodys));
    for length in [0, 5, 12, 27] {
        let short = Payload { data: good.data[..length].to_vec(), ..good.clone() };
        assert_eq!(decode(&codec, short.clone()).await, Ok(short), "{length} bytes");
    }
}

#[tokio::test]
async fn all_of_a_message_is_encrypted_but_its_search_attributes() {
    let [old, _] = old_and_new();
    let converter = converter(&keys(&old));
    let fields = || [("Any".to_owned(), plain())].into();
    let mut request = StartWorkflowExecutionRequest {
        input: Some(Payloads { payloads: vec![plain()] }),
        memo: Some(temporalio_common::protos::temporal::api::common::v1::Memo { fields: fields() }),
        search_attributes: Some(SearchAttributes { indexed_fields: fields() }),
        continued_failure: Some(Failure {
            encoded_attributes: Some(plain()),
            ..Failure::default()
        }),
        ..StartWorkflowExecutionRequest::default()
    };
    let whole = request.clone();
    temporalio_common::payload_visitor::encode_payloads(
        &mut request,
        converter.codec(),
        &in_workflow(),
    )
    .await
    .expect("encrypted");
    let shown = String::from_utf8_lossy(&request.encode_to_vec()).into_owned();
    assert_eq!(shown.matches("hush").count(), 1, "the search attribute: {shown:?}");
    assert_eq!(request.search_attributes, whole.search_attributes);
    decode_payloads(&mut request, converter.codec(), &in_workflow()).await.expect("decrypted");
    assert_eq!(request, whole);
}

#[test]
fn who_encrypts_is_known() {
    let [old, _] = old_and_new();
    let mut client = ClientOptions::new("default").build();
    assert!(!encodes(&client));
    for (text, expected) in [(format!("none,{old}"), false), (old, true)] {
        client.data_converter = converter(&keys(&text));
        assert_eq!(encodes(&client), expected, "{text}");
    }
}

#[test]
fn every_wrong_key_is_named_and_none_is_shown() {
    let [old, _] = old_and_new();
    let example = "k:dGVzdC1rZXktdGVzdC1rZXktdGVzdC1rZXktdGVzdCE=";
    for (text, why) in [
        ("", "no key is given"),
        ("none", "no key is given"),
        (TEST_KEYS[0], "key 1 is not ID:KEY"),
        (example, "key 1 is one of examples and tests, or repeats a few bytes"),
        ("k:c2h1c2g=", "key 1 has 5 bytes, not 32"),
        ("k:no base64", "key 1 is not base64 behind its ID"),
        (&format!("{old},none"), "key 2 is not ID:KEY"),
        (&format!("{old},{old}"), "key 2 is key 1 again: remove one of them"),
        (
            &format!("two words:{},x", TEST_KEYS[0]),
            "letters, digits or signs, other than none, key 2 is",
        ),
    ] {
        let wrong = text.parse::<PayloadKeys>().expect_err("wrong").to_string();
        assert!(wrong.contains(why) && wrong.contains("openssl rand"), "{text}: {wrong}");
        assert!(!wrong.contains(&TEST_KEYS[0][..8]), "{wrong}");
    }
    let shown = format!("{:?}", keys(&old));
    assert!(shown.contains("old:") && !shown.contains(&TEST_KEYS[0][..8]), "{shown}");
    // Callers may have typed theirs before us.
    let typed = "k:Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSA0MiE=";
    assert_eq!(keys(typed).names().len(), 1);
}
