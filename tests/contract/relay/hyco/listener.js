// Listens with Microsoft's own package; prints a line of JSON for each request, and answers 202.
const https = require('hyco-https');

const [, , server, token] = process.argv;
const listener = https.createRelayedServer({ server, token }, (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString();
    console.log(JSON.stringify({ method: request.method, url: request.url, body }));
    response.statusCode = 202;
    response.end();
  });
});
listener.on('error', (error) => console.log(JSON.stringify({ error: String(error) })));
listener.on('listening', () => console.log(JSON.stringify({ listening: true })));
listener.listen();
