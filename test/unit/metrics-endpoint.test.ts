import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../core/config.ts';
import { type MetricsEndpoint, openMetricsEndpoint } from '../../core/metrics-endpoint.ts';
import { counter, renderMetrics, spreads, tallies } from '../../core/metrics.ts';

describe('the metrics endpoint', () => {
  let endpoint: MetricsEndpoint | undefined;
  afterEach(() => endpoint?.close());

  it('shows the metrics of this process, labelled with its pid, and nothing else', async () => {
    counter('doorbuster_endpoint_test_total', 'Of this test').inc(3);
    endpoint = await openMetricsEndpoint(0);
    const origin = `http://127.0.0.1:${endpoint.port}`;
    const answer = await fetch(`${origin}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await answer.text();
    expect(text).toContain(`doorbuster_endpoint_test_total{pid="${process.pid}"} 3\n`);
    expect(text).toMatch(/^process_cpu_user_seconds_total\{pid="\d+"\}/m);
    expect((await fetch(`${origin}/`)).status).toBe(404);
    expect((await fetch(`${origin}/metrics`, { method: 'POST', body: 'x' })).status).toBe(404);
  });

  it('shows the sums that were kept outside the registry, as they are then', async () => {
    const asked = tallies('doorbuster_tally_test_total', 'Of this test', ['door', 'status']);
    for (let i = 0; i < 5; i += 1) asked('http', '201').inc();
    asked('ws', '409').inc();
    const line = (labels: string, sum: number) =>
      `doorbuster_tally_test_total{${labels},pid="${process.pid}"} ${sum}\n`;
    expect(await renderMetrics()).toContain(line('door="http",status="201"', 5));
    tallies('doorbuster_tally_test_total', 'Of this test', ['door', 'status'])('ws', '409').inc();
    asked('ws', '409').inc();
    const later = await renderMetrics();
    expect(later).toContain(line('door="http",status="201"', 5));
    expect(later).toContain(line('door="ws",status="409"', 3));
  });

  it('shows values that were kept outside the registry as a histogram', async () => {
    const took = spreads('doorbuster_spread_test_seconds', 'Of this test', 'route', [0.01, 0.1]);
    for (const value of [0.001, 0.01, 0.05, 7]) took('/a').observe(value);
    spreads('doorbuster_spread_test_seconds', 'Of this test', 'route', [0.01, 0.1])('/a').observe(0.1);
    const lines = (await renderMetrics())
      .split('\n')
      .filter((line) => line.startsWith('doorbuster_spread_test_seconds'));
    const labels = `route="/a",pid="${process.pid}"`;
    expect(lines).toEqual([
      `doorbuster_spread_test_seconds_bucket{le="0.01",${labels}} 2`,
      `doorbuster_spread_test_seconds_bucket{le="0.1",${labels}} 4`,
      `doorbuster_spread_test_seconds_bucket{le="+Inf",${labels}} 5`,
      `doorbuster_spread_test_seconds_sum{${labels}} 7.161`,
      `doorbuster_spread_test_seconds_count{${labels}} 5`,
    ]);
  });

  it('says so when its port is taken', async () => {
    endpoint = await openMetricsEndpoint(0);
    await expect(openMetricsEndpoint(endpoint.port)).rejects.toThrow(/EADDRINUSE/);
  });

  it('is off unless it is configured', () => {
    expect(loadConfig({})).not.toHaveProperty('workerMetricsPort');
    expect(loadConfig({ WORKER_METRICS_PORT: '9464' }).workerMetricsPort).toBe(9464);
  });
});
