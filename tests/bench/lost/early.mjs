// What one writes first: stores each command, then answers it. node early.mjs PORT MONGO_DB_URL DATABASE, see ../lost.py.
// mqtt.js acknowledges a message when it has told of it ("message"), not when what that set off is done.
import { MongoClient } from 'mongodb';
import mqtt from 'mqtt';

const [port, url, database] = process.argv.slice(2);
const effects = (await new MongoClient(url, { writeConcern: { w: 'majority', journal: true } }).connect()).db(database).collection('bench_effects');
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
	clientId: 'lost-node', username: 'JWT', password: process.env.MQTT_TOKEN, protocolVersion: 5, clean: false,
	properties: { sessionExpiryInterval: 3600 }, reconnectPeriod: 200,
});
client.on('connect', () => client.subscribe('+/append', { qos: 1 }, () => console.log('ready')));
client.on('message', async (topic, payload) => {
	const user = topic.split('/')[0], { list, n } = JSON.parse(payload);
	await effects.insertOne({ _id: `${list}/${user}/${String(process.hrtime.bigint()).padStart(18, '0')}`, n });
	client.publish(`${user}/appended`, JSON.stringify({ n }), { qos: 1 });
});
