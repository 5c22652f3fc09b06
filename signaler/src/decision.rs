//! A decision: what is known against it, its signal, and its effect.

use countersign_protos::{
    GenuineLink, LinkHash, Statement, Verdict,
    answers::{self, Answers},
    comment_hash,
    payload::{self, Encoding},
    text,
    v1::Decision,
};
use jiff::Timestamp;

use crate::{
    answer::{
        Answer, Reading, after_sending, answered, is_submitters, is_unchangeable, needs_comment,
        needs_confirmation, settled,
    },
    index::Run,
    problem::Problem,
    reply::answer_status,
    signal::{Intent, Ready, Signal},
};

/// A decision as a form carries it.
#[derive(Clone, Copy)]
pub(crate) struct Press<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) comment: &'a str,
    /// By the names of fields.
    pub(crate) answers: &'a Answers,
    /// What confirms it; empty the first time.
    pub(crate) nonce: &'a str,
}

impl Intent for Press<'_> {
    /// The answers in their canonical form.
    type Sent = Answers;
    type Effect = Answer;
    const SENT_AGAIN_AS: Option<&'static str> = Some("decision");

    fn ready(&self, link: &GenuineLink, before: &Reading) -> Result<Ready<Self>, Problem> {
        let (Press { verdict, comment, answers, nonce }, hash) = (*self, link.hash());
        if let Some(answer) = settled(before, hash, verdict) {
            return Ok(Ready::Settled(answer));
        }
        if is_submitters(before.state(), hash) {
            return Err(Problem::SubmitterDecides);
        }
        if is_unchangeable(before, hash, verdict) {
            return Ok(Ready::Settled(Answer::Unchangeable));
        }
        if needs_comment(before, hash, verdict, comment) {
            return Ok(Ready::Settled(Answer::Uncommented));
        }
        let Ok(answers) = answered(before, hash, verdict, answers) else {
            return Ok(Ready::Settled(Answer::Unanswered));
        };
        let is_confirmed = link.is_confirmed(nonce, verdict, comment, &answers, Timestamp::now());
        if !is_confirmed && needs_confirmation(before, hash) {
            return Ok(Ready::Settled(Answer::Unconfirmed));
        }
        Ok(Ready::Send(answers))
    }

    fn signal(&self, answers: &Answers, link: &GenuineLink, run: &Run, attempt: u32) -> Signal {
        let comment = text::comment(self.comment);
        let said = Statement::Vote {
            verdict: self.verdict,
            comment: &comment_hash(&comment),
            answers: &answers::hash(answers),
        };
        let decision = Decision {
            link: link.hash().as_str().to_owned(),
            proof: Some(link.prove(said, Timestamp::now())),
            comment,
            answers: answers.clone(),
            ..Decision::default()
        };
        Signal {
            name: self.verdict.terms().name,
            payload: payload::encode(&decision, Encoding::JsonPlain),
            request_id: link.request_id(&run.run_id, self.verdict, attempt),
        }
    }

    fn effect(&self, link: &LinkHash, _: &Reading, after: &Reading) -> Option<Answer> {
        after_sending(after, link, self.verdict)
    }

    fn stored(&self, reading: &Reading) -> Answer {
        match reading {
            Reading::Replaced(_) => Answer::Superseded,
            _ => Answer::Accepted,
        }
    }

    fn log(&self, workflow_id: &str, link: &str, answer: &Answer) {
        let (verdict, answer) = (self.verdict.terms().name, answer_status(*answer).1);
        tracing::info!(workflow_id, link, verdict, answer, "press");
    }
}

#[cfg(test)]
pub(crate) mod tests;
