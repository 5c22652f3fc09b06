// What is approved, and how it is decided: the JSON of the workflow's input, signal and result.

export interface Submission {
  submissionId: string;
  submissionType: string;
  submitter: { name: string; email: string };
  document: {
    title: string;
    amount: number;
    currency: string;
    description: string;
    items: { description: string; amount: string; date: string }[];
    attachments: string[];
  };
}

export interface Decision {
  reviewer: string;
  verdict: 'approve' | 'reject';
  comment: string;
}

/** `decision` is absent if nobody decided in time. */
export interface Decided {
  submission: Submission;
  decision?: Decision;
}

export interface Outcome {
  submissionId: string;
  status: 'APPROVED' | 'REJECTED' | 'EXPIRED';
  reviewer: string;
  comment: string;
}
