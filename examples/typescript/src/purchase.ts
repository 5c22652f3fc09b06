// A purchase that is ordered once somebody approved it.

import {
  ApplicationFailure,
  ChildWorkflowFailure,
  executeChild,
  log,
  ParentClosePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { ApprovalWorkflow, Outcome, Problem, Submission, Submitter } from './approval';

export interface Purchase {
  number: string;
  title: string;
  amount: string;
  currency: string;
  buyer: Submitter;
}

export interface Result {
  ordered: boolean;
  outcome?: Outcome;
  problems?: Problem[];
}

export async function PurchaseWorkflow(purchase: Purchase): Promise<Result> {
  let outcome: Outcome;
  try {
    outcome = await executeChild<ApprovalWorkflow>('ApprovalWorkflow', {
      args: [submission(purchase)],
      workflowId: `approval-${workflowInfo().workflowId}`,
      taskQueue: 'approvals',
      // A reset starts this workflow again while its approval is still open. By default that one's
      // ID would be refused.
      workflowIdReusePolicy: 'TERMINATE_IF_RUNNING',
      // However this workflow ends, nobody is left with something to decide: a pending approval is
      // withdrawn. By default it would be terminated, and nobody told.
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    });
  } catch (error) {
    const cause = error instanceof ChildWorkflowFailure ? error.cause : undefined;
    if (cause instanceof ApplicationFailure && cause.type === 'InvalidSubmission') {
      return { ordered: false, problems: cause.details?.[0] as Problem[] };
    }
    throw error;
  }
  if (outcome.status !== 'APPROVED') {
    log.info(`Not ordered: ${outcome.reason}`);
    return { ordered: false, outcome };
  }
  for (const { decisions = [] } of outcome.stages ?? []) {
    for (const { reviewer, verdict } of decisions) log.info(`${reviewer}: ${verdict}`);
  }
  // Here the activities follow that order it. The first one verifies outcome.jws, as verify.mts does:
  // others in the namespace may have written this result.
  return { ordered: true, outcome };
}

function submission(purchase: Purchase): Submission {
  const { number, title, amount, currency, buyer } = purchase;
  return {
    submissionId: number,
    submissionType: 'purchase',
    submitter: buyer,
    document: { title, amount, currency },
  };
}
