// SPDX-License-Identifier: MIT
// What Node programs do with processes, threads, signals and exits.
'use strict';
const child = require('child_process');
const cluster = require('cluster');
const fs = require('fs');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function show_process() {
	for (const number of fs.readdirSync('/proc/self/fd').map(Number).sort((a, b) => a - b)) {
		try {
			console.log('descriptor', number, fs.readlinkSync(`/proc/self/fd/${number}`));
		} catch (error) {
			if (error.code !== 'ENOENT') throw error;
		}
	}
	const lines = fs.readFileSync('/proc/self/status', 'utf8').split('\n');
	console.log(lines.filter((line) => /^(Sig|Shd|Umask|NoNew|Seccomp)/.test(line)).join('\n'));
	console.log(fs.readFileSync('/proc/self/limits', 'utf8'));
	console.log(Object.keys(process.env).filter((name) => !/^EXCLUSIVELOCK_|^LD_PRELOAD$/.test(name)).sort(), process.cwd());
}

function use_workers() {
	return Promise.all([1, 2, 3].map((number) => new Promise((resolve, reject) => {
		const worker = new Worker(__filename, { workerData: number });
		let answer;
		worker.on('message', (message) => { answer = message; });
		worker.on('error', reject);
		worker.on('exit', (code) => resolve([answer, code]));
	})));
}

function use_children() {
	const state = process.env.STATE;
	for (const options of [{}, { detached: true }, { env: { A: '1' } }, { shell: true }, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] }]) {
		const shown = child.spawnSync(state, [], options);
		console.log('spawnSync', Object.keys(options), shown.status, String(shown.stdout), String(shown.stderr));
	}
	console.log('own kind', child.spawnSync(process.execPath, ['-e', 'process.exit(5)']).status);
	console.log('killed', child.spawnSync('sh', ['-c', 'kill -KILL $$']).signal);
	console.log(String(child.execSync('tr a-z A-Z', { input: 'through both\n' })));
}

function use_fork() {
	return new Promise((resolve) => {
		const forked = child.fork(__filename, ['forked']);
		forked.on('message', (message) => console.log('from the forked one', message));
		forked.on('exit', (code) => resolve(code));
		forked.send('down');
	});
}

function use_cluster() {
	cluster.setupPrimary({ exec: __filename, args: ['clustered'] });
	return new Promise((resolve) => {
		const ends = [];
		cluster.on('exit', (worker, code) => ends.push(code) === 2 && resolve(ends));
		cluster.fork();
		cluster.fork();
	});
}

async function main() {
	process.on('exit', (code) => console.log('exit handler', code, child.spawnSync('sh', ['-c', 'exit 8']).status));
	process.once('SIGUSR2', (signal) => console.log('handled', signal));
	show_process();
	console.log('workers', await use_workers());
	use_children();
	console.log('forked', await use_fork());
	console.log('cluster', await use_cluster());
	process.kill(process.pid, 'SIGUSR2');
	await new Promise((resolve) => setTimeout(resolve, 10));
	console.log('gate', String(child.execFileSync(`${process.env.GATE}/gate`)));
	process.exit(42);
}

if (!isMainThread) {
	parentPort.postMessage(workerData * 2 + child.spawnSync('sh', ['-c', 'exit 1']).status);
} else if (process.argv[2] === 'forked') {
	process.on('message', (message) => process.send(`${message} and up`, () => process.exit(6)));
} else if (process.argv[2] === 'clustered') {
	process.exit(cluster.isWorker ? 7 : 1);
} else {
	main();
}
