// Each activity ends where one with a mail server would call it.

import { ApplicationFailure } from '@temporalio/activity';
import type { Decided, Outcome, Submission } from './flow';

export async function validateSubmission(submission: Submission): Promise<Submission> {
  const { submissionId, submitter, document } = submission;
  const problems = [];
  if (!submissionId) problems.push('submissionId is empty');
  if (!submitter?.email?.includes('@')) problems.push('submitter.email is not an address');
  if (!document?.title) problems.push('document.title is empty');
  if (!(document?.amount > 0)) problems.push('document.amount is not positive');
  if (problems.length > 0) {
    throw ApplicationFailure.nonRetryable(problems.join('; '), 'InvalidSubmission');
  }
  return submission;
}

export async function requestApproval(submission: Submission): Promise<string> {
  const { submitter, document } = submission;
  const items = document.items.map(({ date, description, amount }) => `${date} ${description}: ${amount}`);
  return [
    `Subject: Please decide: ${document.title}`,
    '',
    `${submitter.name} submitted ${document.title}: ${document.amount} ${document.currency}`,
    document.description,
    ...items,
    ...document.attachments,
  ].join('\n');
}

export async function processDecision({ submission, decision }: Decided): Promise<Outcome> {
  const status = decision === undefined ? 'EXPIRED' : decision.verdict === 'approve' ? 'APPROVED' : 'REJECTED';
  return {
    submissionId: submission.submissionId,
    status,
    reviewer: decision?.reviewer ?? '',
    comment: decision?.comment ?? '',
  };
}
