#include "reflect/tasks/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>

#include "reflect/base/error.h"
#include "tasks/sandbox_child.h"

namespace reflect {
namespace {

constexpr std::string_view kSandboxOp = "sandbox";
using Clock = std::chrono::steady_clock;

[[noreturn]] void refuse(std::string_view step, int error) {
  fail(kSandboxOp,
       "this system does not permit the sandbox for unit tests ({}: {}); it needs user namespaces "
       "and seccomp, which containers often forbid. Nothing was run",
       step, std::strerror(error));
}

// A file descriptor that is closed at the end.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return number_; }
  void reset(int number) {
    close();
    number_ = number;
  }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

struct Pipe {
  FileDescriptor out, in;
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) refuse("pipe", errno);
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
};

void write_whole(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0) fail(kSandboxOp, "cannot hand over the program: {}", std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Returns 0 or an errno.
int write_map(pid_t child, const char* name, const std::string& text) {
  const std::string path = fmt::format("/proc/{}/{}", child, name);
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) return errno;
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  return written == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

// Root becomes nobody outside, too, so that limits on processes hold; others stay who they are.
int map_user(pid_t child) {
  constexpr unsigned kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  const auto map = [](unsigned outside) { return fmt::format("{} {} 1\n", kSandboxUser, outside); };
  int error = is_root ? 0 : write_map(child, "setgroups", "deny");
  if (error == 0) error = write_map(child, "uid_map", map(is_root ? kNobody : ::geteuid()));
  if (error == 0) error = write_map(child, "gid_map", map(is_root ? kNobody : ::getegid()));
  return error;
}

// The child is process 1 of its own world: whatever it starts ends with it.
class Child {
 public:
  explicit Child(const SandboxPlan& plan) {
    const unsigned long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
    pid_ = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
    if (pid_ == 0) run_sandbox_child(plan);
    if (pid_ < 0) refuse("new namespaces", errno);
  }
  ~Child() {
    kill();
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void kill() const {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }
  int wait() {
    int status = 0;
    while (pid_ > 0 && ::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
};

// Reads until the end of the output, of the time or of the bound. Returns which of the latter came.
SandboxResult::End read_output(int file, Clock::time_point deadline, std::size_t bound,
                               std::string& output) {
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return SandboxResult::End::kTimeout;
    pollfd ready = {file, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return SandboxResult::End::kExited;
    output.append(buffer.data(), static_cast<std::size_t>(count));
    if (output.size() > bound) {
      output.resize(bound);
      return SandboxResult::End::kTooVerbose;
    }
  }
}

void check(const SandboxLimits& limits) {
  if (!(limits.seconds > 0) || limits.seconds > 86400 || limits.memory_mib < 16 ||
      limits.processes < 1 || limits.disk_mib < 1 || limits.files < 16 || limits.output_bytes < 1) {
    fail_usage(kSandboxOp, "limits: {} s, {} MiB, {} processes, {} MiB of disk, {} files, {} bytes",
               limits.seconds, limits.memory_mib, limits.processes, limits.disk_mib, limits.files,
               limits.output_bytes);
  }
}

}  // namespace

SandboxResult run_python(std::string_view source, const SandboxLimits& limits) {
  check(limits);
  const FileDescriptor program(::memfd_create("program", MFD_CLOEXEC));
  if (program.get() < 0) refuse("memfd", errno);
  write_whole(program.get(), source);
  // A second description of the file, for reading only.
  const std::string path = fmt::format("/proc/self/fd/{}", program.get());
  const FileDescriptor readable(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (readable.get() < 0) refuse("open the program", errno);
  Pipe go, output, failure;
  const std::string tmpfs =
      fmt::format("size={}m,nr_inodes={},mode=755", limits.disk_mib, limits.files);
  SandboxPlan plan;
  plan.go = go.out.get();
  plan.source = readable.get();
  plan.output = output.in.get();
  plan.failure = failure.in.get();
  plan.tmpfs_options = tmpfs.c_str();
  plan.memory_bytes = limits.memory_mib << 20;
  plan.disk_bytes = limits.disk_mib << 20;
  plan.processes = limits.processes;
  plan.cpu_seconds = std::lround(std::ceil(limits.seconds)) + 1;
  plan.drop_groups = ::geteuid() == 0;

  const Clock::time_point begin = Clock::now();
  Child child(plan);
  if (const int error = map_user(child.pid()); error != 0) refuse("map the user", error);
  write_whole(go.in.get(), "g");
  output.in.close();
  failure.in.close();
  SandboxFailure failed = {};
  if (::read(failure.out.get(), &failed, sizeof failed) == sizeof failed) {
    refuse(failed.step, failed.error);
  }
  SandboxResult result;
  const auto deadline = begin + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(limits.seconds));
  result.end = read_output(output.out.get(), deadline,
                           static_cast<std::size_t>(limits.output_bytes), result.output);
  child.kill();
  const int status = child.wait();
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (result.end != SandboxResult::End::kExited) return result;
  if (WIFSIGNALED(status)) result.end = SandboxResult::End::kSignaled;
  result.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace reflect
