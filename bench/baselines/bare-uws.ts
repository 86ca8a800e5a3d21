// The ceiling of the door: uWebSockets.js alone, which reads a JSON body, parses it and sends it back. A process of its
// own, as the API is one. uWebSockets.js has its home in api/server.ts; this is the one exception, since it is here to
// be measured without anything of ours around it.
import { App, us_socket_local_port } from 'uWebSockets.js';

const app = App();
app.post('/*', (res) => {
  let received: Buffer | undefined;
  res.onAborted(() => undefined);
  res.onData((chunk, isLast) => {
    const part = Buffer.from(chunk);
    if (!isLast) {
      // Copied: the bytes are valid only until this returns.
      received = Buffer.concat(received === undefined ? [part] : [received, part]);
      return;
    }
    const body: unknown = JSON.parse((received === undefined ? part : Buffer.concat([received, part])).toString());
    res.cork(() => {
      res.writeStatus('201 Created').writeHeader('content-type', 'application/json').end(JSON.stringify(body));
    });
  });
});

app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) process.exit(1);
  process.send?.({ url: `http://127.0.0.1:${us_socket_local_port(socket)}` });
});
// Whoever started this server is gone: so is its use.
process.once('disconnect', () => process.exit());
