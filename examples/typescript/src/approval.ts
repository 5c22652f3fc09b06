// Countersign's messages, as far as this example uses them, by their names in JSON. What has its
// default value, such as an empty comment or list, is absent from an outcome.

export interface Submission {
  submissionId: string;
  submissionType?: string;
  submitter: Submitter;
  document: {
    title: string;
    /** With a currency or not at all. */
    amount?: string;
    currency?: string;
    category?: string;
    description?: string;
    items?: { description: string; amount: string; date?: string }[];
    attachments?: string[];
    details?: { label: string; value: string }[];
    /** What is done once it is approved: see once.mts. */
    action?: { name: string; arguments?: unknown; risk?: string; reason?: string; onBehalfOf?: string };
  };
  submittedAt?: string;
}

export interface Submitter {
  name: string;
  email: string;
  department?: string;
  employeeId?: string;
}

export interface Outcome {
  status: Status;
  submissionId: string;
  decidedAt: string;
  jws: string;
  reason?: string;
  stages?: StageOutcome[];
}

export type Status = 'APPROVED' | 'REJECTED' | 'EXPIRED' | 'WITHDRAWN';

export interface StageOutcome {
  name?: string;
  status: Status;
  decisions?: Decision[];
  undecided?: string[];
}

export interface Decision {
  reviewer: string;
  verdict: 'APPROVE' | 'REJECT';
  comment?: string;
  decidedAt: string;
}

/** A detail of the failure InvalidSubmission. */
export interface Problem {
  path: string;
  message: string;
}

/** Countersign's workers run it; this is its signature, by which calls are typed. */
export type ApprovalWorkflow = (submission: Submission) => Promise<Outcome>;
