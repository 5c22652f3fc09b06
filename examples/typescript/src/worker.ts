// Runs PurchaseWorkflow. TEMPORAL_ADDRESS and other TEMPORAL_ variables set the connection to Temporal.

import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Worker } from '@temporalio/worker';

async function main() {
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const connection = await NativeConnection.connect(connectionOptions);
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: 'purchases',
    workflowsPath: require.resolve('./purchase'),
  });
  await worker.run();
}

void main();
