use std::sync::{Arc, Mutex};

use countersign_protos::{Chain, LinkContext, LinkKeys};
use futures_util::future::join_all;
use serde_json::json;
use temporalio_common::protos::temporal::api::common::v1::{
    Payload, SearchAttributes, WorkflowExecution,
};
use tokio::time::sleep;

use super::*;

/// Different links.
fn links(count: u32) -> Vec<LinkHash> {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let link = |round| {
        let context = LinkContext { round, ..LinkContext::new(chain, "v1:0", "ann@example.com") };
        keys.first().link(context).hash().clone()
    };
    (0..count).map(link).collect()
}

fn run(id: &str) -> Run {
    Run { workflow_id: id.into(), run_id: id.into() }
}

fn claim_of(id: &str, started: i64, links: &[LinkHash]) -> Claim {
    let links = links.iter().map(|link| link.as_str().to_owned()).collect();
    Claim { started: (started, 0), run: run(id), links }
}

/// How many links each request was for.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<usize>>>);

impl Requests {
    fn so_far(&self) -> Vec<usize> {
        self.0.lock().expect("not poisoned").clone()
    }
}

/// An index that answers each request at once, with a run for each link.
fn index() -> (mpsc::UnboundedSender<Asked>, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let list = move |links: Vec<LinkHash>, _| {
        seen.0.lock().expect("not poisoned").push(links.len());
        let claims =
            links.iter().map(|link| claim_of(link.as_str(), 0, std::slice::from_ref(link)));
        let page = Page { claims: claims.collect(), next: Vec::new() };
        async move { Ok(page) }
    };
    (serving(list), requests)
}

async fn ask_all(index: &mpsc::UnboundedSender<Asked>, links: &[LinkHash]) {
    let answers = join_all(links.iter().map(|link| ask(index, link))).await;
    for (link, answer) in links.iter().zip(answers) {
        let claims = answer.expect("an answer");
        assert_eq!(claims, Claims { runs: vec![run(link.as_str())], more: false }, "its own");
    }
}

#[tokio::test(start_paused = true)]
async fn links_that_are_wanted_within_a_moment_share_a_request() {
    let (index, requests) = index();
    let links = links(120);
    ask_all(&index, &links[..2]).await;
    assert_eq!(requests.so_far(), [2]);
    ask_all(&index, &links).await;
    assert_eq!(requests.so_far(), [2, 50, 50, 20]);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_one_after_the_other_ask_once_a_second() {
    let (index, requests) = index();
    let links = links(100);
    let (start, mut waited) = (Instant::now(), Vec::new());
    let asking = links.iter().enumerate().map(|(i, link)| {
        let index = &index;
        async move {
            sleep(100 * Duration::from_millis(i as u64)).await;
            let asked = Instant::now();
            ask(index, link).await.expect("an answer");
            asked.elapsed()
        }
    });
    waited.extend(join_all(asking).await);
    let (seconds, requests) = (start.elapsed().as_secs() as usize, requests.so_far().len());
    assert!(requests <= BURST as usize + seconds + 1, "{requests} requests in {seconds} s");
    assert!(waited[0] <= MOMENT, "who asks alone does not wait: {waited:?}");
    assert!(waited.iter().all(|wait| *wait <= EVERY), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_flood_of_full_requests_nobody_waits_longer_than_a_second() {
    let (index, requests) = index();
    let links = links(1_000);
    ask_all(&index, &links).await;
    assert_eq!(requests.so_far(), [50; 20]);
    let asked = Instant::now();
    ask_all(&index, &links[..1]).await;
    assert!(asked.elapsed() <= EVERY, "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_that_of_all_who_share_the_request() {
    let list = |_, _| async { Err(Failure::Busy("over a limit".to_owned())) };
    let index = serving(list);
    for answer in join_all(links(3).iter().map(|link| ask(&index, link))).await {
        assert!(matches!(answer, Err(Failure::Busy(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn the_index_is_paged_on_until_each_link_has_a_claim() {
    let wanted = links(3);
    let pages = [
        vec![claim_of("young", 9, &wanted[..1]), claim_of("copy", 8, &wanted[..2])],
        vec![claim_of("old", 1, &wanted), claim_of("young", 9, &wanted[..1])],
        vec![claim_of("never read", 0, &wanted)],
    ];
    let list = |_, token: Vec<u8>| {
        let number = token.first().copied().unwrap_or(0);
        let claims = pages[usize::from(number)].clone();
        async move { Ok(Page { claims, next: vec![number + 1] }) }
    };
    let (found, more) = find(&wanted, list).await.expect("claims");
    assert!(more, "there may be others");
    let runs = |link: &LinkHash| oldest_first(found[link].clone());
    assert_eq!(runs(&wanted[0]), [run("old"), run("copy"), run("young")], "each once");
    assert_eq!(runs(&wanted[1]), [run("old"), run("copy")]);
    assert_eq!(runs(&wanted[2]), [run("old")]);
}

#[tokio::test]
async fn a_link_that_nobody_claims_has_no_run_and_the_others_have_theirs() {
    let wanted = links(2);
    let claims = vec![claim_of("one", 0, &wanted[..1])];
    let list = |_, _| {
        let claims = claims.clone();
        async move { Ok(Page { claims, next: Vec::new() }) }
    };
    let (found, more) = find(&wanted, list).await.expect("claims");
    assert!(found.contains_key(&wanted[0]) && !found.contains_key(&wanted[1]) && !more);
}

#[test]
fn a_run_claims_the_links_of_its_search_attribute() {
    let wanted = links(2);
    let info = |value: Value| {
        let payload = Payload { data: value.to_string().into_bytes(), ..Payload::default() };
        let indexed_fields = [(names::ATTRIBUTE_LINKS.to_owned(), payload)].into();
        v1::WorkflowExecutionInfo {
            execution: Some(WorkflowExecution { workflow_id: "w".into(), run_id: "r".into() }),
            search_attributes: Some(SearchAttributes { indexed_fields }),
            ..v1::WorkflowExecutionInfo::default()
        }
    };
    let both: Vec<String> = wanted.iter().map(|link| link.as_str().to_owned()).collect();
    let claimed = |value| claim(info(value)).map(|claim| claim.links);
    assert_eq!(claimed(json!(both)), Some(both.clone()));
    assert_eq!(claimed(json!(both[0])), Some(vec![both[0].clone()]), "a list of one");
    assert_eq!(claimed(json!(7)), None);
    let asked = query(&wanted);
    let [one, other] = [&both[0], &both[1]];
    let in_both =
        format!("ApprovalLinks IN ('{one}', '{other}') AND WorkflowType = 'ApprovalWorkflow'");
    assert_eq!(asked, in_both);
}
