// Does what the driver asks: one JSON object in a line on stdin, and answers and messages in lines on stdout.
const mqtt = require('mqtt');
const fs = require('fs');
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const clients = {};

function connect(job, on) {
  const client = mqtt.connect(`${job.over}://${job.host}:${job.port}`, {
    username: job.device, password: job.secret, clientId: job.client_id, clean: job.clean, protocolVersion: 4, reconnectPeriod: 0, resubscribe: false,
    ca: job.ca ? fs.readFileSync(job.ca) : undefined, will: job.will ? {topic: job.will[0], payload: job.will[1], qos: 1, retain: false} : undefined,
  });
  client.on('error', (error) => say({job: job.job, error: error.message}));
  client.on('connect', (connack) => on(client, connack));
  client.on('message', (topic, payload, packet) => say({from: job.job, heard: [topic, payload.toString('hex'), packet.qos, packet.retain]}));
  return client;
}

const jobs = {
  listen(job) {
    clients[job.job] = connect(job, (client, connack) => client.subscribe(job.filter, {qos: job.qos}, (error) =>
      say(error ? {job: job.job, error: error.message} : {job: job.job, present: connack.sessionPresent})));
  },
  publish(job) {
    connect({...job, clean: true}, async (client) => {
      const options = {qos: job.qos, retain: job.retain};
      await Promise.all(job.payloads.map((hex) => client.publishAsync(job.topic, Buffer.from(hex, 'hex'), options)));
      await client.endAsync();
      say({job: job.job});
    });
  },
  leave: (job) => clients[job.listener].end(false, {}, () => say({job: job.job})),
  vanish: (job) => { clients[job.listener].stream.destroy(); say({job: job.job}); },
};

require('readline').createInterface({input: process.stdin}).on('line', (line) => { const job = JSON.parse(line); jobs[job.do](job); }).on('close', () => process.exit(0));
