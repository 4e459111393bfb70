// Programs that nobody trusts: what they cannot do, and what becomes of those that try.
#include "reflect/tasks/sandbox.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "reflect/base/error.h"
#include "reflect/tasks/code_checker.h"

namespace reflect {
namespace {

using End = SandboxResult::End;

bool is_permitted() {
  static const bool permitted = [] {
    try {
      run_python("", {});
      return true;
    } catch (const Error& error) {
      WARN("skipped: " << error.what());
      return false;
    }
  }();
  return permitted;
}

SandboxLimits quick() {
  SandboxLimits limits;
  limits.seconds = 20;
  return limits;
}

// What the program prints; it must end with exit code 0.
std::string printed(const std::string& source) {
  const SandboxResult result = run_python(source, quick());
  INFO(result.output);
  CHECK(result.end == End::kExited);
  CHECK(result.code == 0);
  return result.output;
}

// Whether the statement raises an OSError or a MemoryError.
bool is_refused(const std::string& statement) {
  return printed("import os, socket, ctypes\ntry:\n    " + statement +
                 "\n    print('done')\nexcept (OSError, MemoryError) as error:\n"
                 "    print('refused')\n") == "refused\n";
}

TEST_CASE("a program's output and end come back") {
  if (!is_permitted()) return;
  CHECK(printed("print(sum(range(10)))") == "45\n");
  CHECK(printed("import sys; print(sys.stdin.read() == '')") == "True\n");
  SandboxResult result =
      run_python("import sys; print('x', file=sys.stderr); sys.exit(7)", quick());
  CHECK(result.end == End::kExited);
  CHECK(result.code == 7);
  CHECK(result.output == "x\n");
  result = run_python("import ctypes; ctypes.string_at(0)", quick());
  CHECK(result.end == End::kSignaled);
  CHECK(result.code == SIGSEGV);
}

TEST_CASE("a program sees no network, no files and nothing of who started it") {
  if (!is_permitted()) return;
  ::setenv("REFLECT_TEST_SECRET", "told", 1);
  CHECK(is_refused("socket.socket()"));
  CHECK(is_refused("socket.create_connection(('127.0.0.1', 80))"));
  CHECK(is_refused("open('/etc/passwd')"));
  CHECK(is_refused("os.listdir('/proc')"));
  CHECK(is_refused("os.listdir('" REFLECT_SOURCE_DIR "')"));
  CHECK(is_refused("open('/usr/x', 'w')"));
  CHECK(is_refused("os.chmod('/usr/bin/python3', 0o777)"));
  CHECK(is_refused("os.setuid(0)"));
  CHECK(is_refused("os.kill(-1, 9)"));
  CHECK(printed("import os; print(sorted(os.environ), os.getpid(), os.getppid(), os.getuid())") ==
        "['HOME', 'LANG', 'PATH'] 1 0 1000\n");
  CHECK(printed("import os\n"
                "def is_open(n):\n"
                "    try:\n        os.fstat(n)\n        return True\n"
                "    except OSError:\n        return False\n"
                "print([n for n in range(3, 64) if is_open(n)])") == "[]\n");
  CHECK(printed("import ctypes\n"
                "libc = ctypes.CDLL(None)\n"
                "print([libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0),\n"
                "       libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0), libc.chroot(b'/tmp'),\n"
                "       libc.syscall(425, 1, 0)])") == "[-1, -1, -1, -1, -1]\n");
  ::unsetenv("REFLECT_TEST_SECRET");
}

TEST_CASE("a program has a small disk of its own that is gone afterwards") {
  if (!is_permitted()) return;
  CHECK(printed("open('a', 'w').write('hi'); print(open('/tmp/a').read())") == "hi\n");
  CHECK(printed("import os; print(os.listdir('/tmp'))") == "[]\n");
  CHECK(is_refused("open('a', 'wb').write(bytes(64 << 20))"));
  CHECK(is_refused("[open('f%d' % i, 'w').close() for i in range(1000)]"));
}

TEST_CASE("limits end programs that take too much") {
  if (!is_permitted()) return;
  CHECK(is_refused("bytearray(1 << 30)"));
  CHECK(is_refused("os.memfd_create('x')"));
  CHECK(is_refused("[os.fork() or __import__('signal').pause() for i in range(100)]"));
  SandboxLimits limits = quick();
  limits.seconds = 1;
  for (const char* source :
       {"while True: pass", "import time; time.sleep(1000)",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "import signal\nfor n in range(1, 65):\n    try:\n        signal.signal(n, "
        "signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True: pass"}) {
    INFO(source);
    const SandboxResult result = run_python(source, limits);
    CHECK(result.end == End::kTimeout);
    CHECK(result.seconds < 30);
  }
  limits.seconds = 20;
  limits.output_bytes = 1000;
  const SandboxResult loud = run_python("while True: print('x' * 100)", limits);
  CHECK(loud.end == End::kTooVerbose);
  CHECK(loud.output.size() == 1000);
}

TEST_CASE("what a program leaves behind ends with it") {
  if (!is_permitted()) return;
  const SandboxResult result = run_python(
      "import os, time\n"
      "if os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\n"
      "print('parent')",
      quick());
  CHECK(result.end == End::kExited);
  CHECK(result.output == "parent\n");
  CHECK(result.seconds < 15);
}

TEST_CASE("limits that make no sense are refused") {
  SandboxLimits limits;
  limits.seconds = 0;
  CHECK_THROWS_AS(run_python("", limits), Error);
}

TEST_CASE("code is taken out of an answer") {
  CHECK(code_of("x = 1") == "x = 1");
  CHECK(code_of("So:\n```python\nx = 1\n```\nDone.") == "x = 1\n");
  CHECK(code_of("```\na\n```\ntext\n```py\nb\n```") == "b\n");
  CHECK(code_of("```python\nx = 1\n") == "x = 1\n");
  CHECK(code_of("") == "");
}

TEST_CASE("unit tests decide whether code is right") {
  if (!is_permitted()) return;
  const std::string tests = "assert double(2) == 4\nassert double('\u00e9\"') == '\u00e9\"' * 2\n";
  const auto reason = [&](const std::string& code) {
    const Verdict verdict = check_unit_tests(code, tests, quick());
    CHECK(verdict.right == (verdict.reason == "right"));
    return verdict.reason;
  };
  CHECK(reason("Here:\n```python\ndef double(x):\n    return x + x\n```\n") == "right");
  CHECK(reason("def double(x):\n    print('hm')\n    return 2 * x") == "right");
  CHECK(reason("def double(x):\n    return x") == "wrong");
  CHECK(reason("def other(x):\n    return x") == "wrong");
  CHECK(reason("def double(x) return") == "error");
  CHECK(reason("import sys\nsys.exit(0)") == "error");
  CHECK(reason("import os\nos._exit(0)") == "wrong");
  CHECK(reason("import ctypes\nctypes.string_at(0)") == "killed");
  CHECK(reason("  \n") == "empty");
  CHECK(check_unit_tests("x = 1", " ", quick()).reason == "bad_gold");
  SandboxLimits limits = quick();
  limits.seconds = 1;
  CHECK(check_unit_tests("while True: pass", tests, limits).reason == "timeout");
  limits.output_bytes = 100;
  CHECK(check_unit_tests("print('x' * 1000, flush=True)", tests, limits).reason == "too_verbose");
}

}  // namespace
}  // namespace reflect
