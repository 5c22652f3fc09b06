// Runs PurchaseWorkflow. TEMPORAL_ADDRESS and other TEMPORAL_ variables set the connection to Temporal. Where Countersign
// encrypts payloads, COUNTERSIGN_PAYLOAD_KEYS_FILE names the same keys: see codec.ts.

import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Worker } from '@temporalio/worker';
import { dataConverter } from './codec';

async function main() {
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const connection = await NativeConnection.connect(connectionOptions);
  const worker = await Worker.create({
    connection,
    namespace,
    dataConverter: dataConverter(),
    taskQueue: 'purchases',
    workflowsPath: require.resolve('./purchase'),
  });
  await worker.run();
}

void main();
