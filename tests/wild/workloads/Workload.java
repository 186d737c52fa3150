// SPDX-License-Identifier: MIT
// What Java programs do with processes, threads and exits.
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Workload {
	static void showProcess() throws IOException {
		for (String line : Files.readAllLines(Path.of("/proc/self/status")))
			if (line.matches("^(Sig|Shd|Umask|NoNew|Seccomp).*"))
				System.out.println(line);
		for (String line : Files.readAllLines(Path.of("/proc/self/limits")))
			System.out.println(line);
		for (int number = 0; number < 64; number++) {
			Path link = Path.of("/proc/self/fd/" + number);
			if (Files.isSymbolicLink(link))
				System.out.println("descriptor " + number + " " + Files.readSymbolicLink(link));
		}
		TreeMap<String, String> environment = new TreeMap<>(System.getenv());
		environment.keySet().removeIf(name -> name.startsWith("EXCLUSIVELOCK_") || name.equals("LD_PRELOAD"));
		System.out.println(environment + " " + System.getProperty("user.dir"));
	}

	static String output(ProcessBuilder builder) throws Exception {
		Process process = builder.redirectErrorStream(true).start();
		process.getOutputStream().close();
		String text = new String(process.getInputStream().readAllBytes());
		return process.waitFor() + " " + text;
	}

	static void useThreads() throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<String>> results = new ArrayList<>();
		for (int number = 0; number < 8; number++) {
			String text = String.valueOf(number);
			results.add(pool.submit(() -> output(new ProcessBuilder("echo", text))));
		}
		for (Future<String> result : results)
			System.out.print("thread " + result.get());
		pool.shutdown();
	}

	static void useProcesses() throws Exception {
		String state = System.getenv("STATE");
		System.out.println(output(new ProcessBuilder(state)));
		ProcessBuilder bare = new ProcessBuilder(state);
		bare.environment().clear();
		System.out.println(output(bare));
		System.out.println(output(new ProcessBuilder("sh", "-c", "kill -KILL $$")));
		System.out.println(new ProcessBuilder("sh", "-c", "echo inherited; exit 5").inheritIO().start().waitFor());
	}

	public static void main(String[] arguments) throws Exception {
		showProcess();
		useThreads();
		useProcesses();
		String own = ProcessHandle.current().info().command().get();
		System.out.println("own kind " + output(new ProcessBuilder(own, "-XX:-UsePerfData", "-version")).split(" ")[0]);
		System.out.println("gate " + output(new ProcessBuilder(System.getenv("GATE") + "/gate")));
		Runtime.getRuntime().addShutdownHook(new Thread(() -> {
			try {
				System.out.println("shutdown hook " + output(new ProcessBuilder("sh", "-c", "exit 8")));
			} catch (Exception error) {
				System.out.println(error);
			}
		}));
		Thread daemon = new Thread(() -> { while (true) Thread.onSpinWait(); });
		daemon.setDaemon(true);
		daemon.start();
		System.exit(42);
	}
}
