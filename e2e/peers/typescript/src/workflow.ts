import { condition, defineQuery, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type * as activities from './activities';
import type { Decision, Outcome, Submission } from './flow';

const { validateSubmission, requestApproval, processDecision } = proxyActivities<typeof activities>({
  startToCloseTimeout: '30 seconds',
});

const decide = defineSignal<[Decision]>('decide');
const status = defineQuery<string>('status');

export async function ApprovalWorkflow(input: Submission): Promise<Outcome> {
  let decision: Decision | undefined;
  let state = 'PENDING';
  setHandler(decide, (first) => {
    decision ??= first;
  });
  setHandler(status, () => state);

  const submission = await validateSubmission(input);
  await requestApproval(submission);
  await condition(() => decision !== undefined, '1 hour');
  const outcome = await processDecision({ submission, decision });
  state = outcome.status;
  return outcome;
}
