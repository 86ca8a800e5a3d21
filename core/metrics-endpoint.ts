// Metrics over HTTP for a process that has no door of its own: `GET /metrics`, and nothing else. It listens on every
// address, as the API does, and asks for no token: its port is for the network of the machines, not for the public.
import { createServer, type Server } from 'node:http';
import { METRICS_CONTENT_TYPE, renderMetrics } from './metrics.ts';

export interface MetricsEndpoint {
  readonly port: number;
  close(): Promise<void>;
}

/** Port 0 is any free one. Rejects where the port is taken. */
export async function openMetricsEndpoint(port: number): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    renderMetrics().then(
      (text) => response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await listen(server, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
}
