// Runs ApprovalWorkflow on the task queue in TASK_QUEUE, with the SDK's own defaults.

import { NativeConnection, Worker } from '@temporalio/worker';
import * as activities from './activities';

async function main() {
  const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS });
  const worker = await Worker.create({
    connection,
    taskQueue: process.env.TASK_QUEUE ?? 'approvals',
    workflowsPath: require.resolve('./workflow'),
    activities,
  });
  await worker.run();
}

void main();
