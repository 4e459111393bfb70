#include "tasks/sandbox_child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "tasks/seccomp.h"

namespace reflect {
namespace {

// Ends the child with a note of what did not work.
class Steps {
 public:
  explicit Steps(int failure) : failure_(failure) {}

  void take(const char* step, bool done) const {
    if (!done) end(step, errno);
  }
  [[noreturn]] void end(const char* step, int error) const {
    const SandboxFailure failure = {step, error};
    const ssize_t ignored = ::write(failure_, &failure, sizeof failure);
    static_cast<void>(ignored);
    ::_exit(127);
  }

 private:
  int failure_;
};

bool limit(__rlimit_resource resource, std::int64_t value) {
  const rlimit both = {static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  return ::setrlimit(resource, &both) == 0;
}

// A small disk in memory as the root, with the system's programs on it for reading.
void change_root(const SandboxPlan& plan, const Steps& steps) {
  steps.take("mount /", ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  steps.take("mount tmpfs",
             ::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, plan.tmpfs_options) == 0);
  steps.take("mkdir", ::mkdir("/tmp/usr", 0755) == 0 && ::mkdir("/tmp/tmp", 0777) == 0 &&
                          ::chmod("/tmp/tmp", 0777) == 0 && ::mkdir("/tmp/dev", 0755) == 0);
  for (const char* name : {"bin", "lib", "lib64"}) {
    std::array<char, 16> target = {"usr/"}, link = {"/tmp/"};
    for (int i = 0; name[i] != 0; ++i) {
      target[static_cast<std::size_t>(4 + i)] = link[static_cast<std::size_t>(5 + i)] = name[i];
    }
    steps.take("symlink", ::symlink(target.data(), link.data()) == 0);
  }
  steps.take("bind /usr", ::mount("/usr", "/tmp/usr", nullptr, MS_BIND | MS_REC, nullptr) == 0);
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  steps.take("make /usr read-only", ::syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/usr", AT_RECURSIVE,
                                              &attributes, sizeof attributes) == 0);
  const int null = ::open("/tmp/dev/null", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
  steps.take("bind /dev/null",
             null >= 0 && ::close(null) == 0 &&
                 ::mount("/dev/null", "/tmp/dev/null", nullptr, MS_BIND, nullptr) == 0);
  steps.take("change root", ::chdir("/tmp") == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 &&
                                ::umount2(".", MNT_DETACH) == 0 && ::chdir("/tmp") == 0);
}

void set_limits(const SandboxPlan& plan, const Steps& steps) {
  constexpr std::int64_t kOpenFiles = 64;
  steps.take("set limits",
             limit(RLIMIT_AS, plan.memory_bytes) && limit(RLIMIT_NPROC, plan.processes) &&
                 limit(RLIMIT_FSIZE, plan.disk_bytes) && limit(RLIMIT_CPU, plan.cpu_seconds) &&
                 limit(RLIMIT_NOFILE, kOpenFiles) && limit(RLIMIT_CORE, 0) &&
                 limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0));
}

void become_nobody(const SandboxPlan& plan, const Steps& steps) {
  if (plan.drop_groups) steps.take("drop groups", ::syscall(SYS_setgroups, 0, nullptr) == 0);
  // The plain system calls: the library's functions would signal threads that are not there.
  steps.take("change user",
             ::syscall(SYS_setresgid, kSandboxUser, kSandboxUser, kSandboxUser) == 0 &&
                 ::syscall(SYS_setresuid, kSandboxUser, kSandboxUser, kSandboxUser) == 0);
}

// Handlers of the parent must not run here; what it ignores must not stay ignored.
void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void run_sandbox_child(const SandboxPlan& plan) {
  const Steps steps(plan.failure);
  reset_signals();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char go = 0;
  steps.take("wait for the parent", ::read(plan.go, &go, 1) == 1);
  become_nobody(plan, steps);  // capabilities stay until exec
  change_root(plan, steps);
  steps.take("connect files", ::dup2(plan.source, 0) == 0 && ::dup2(plan.output, 1) == 1 &&
                                  ::dup2(plan.output, 2) == 2 && ::dup2(plan.failure, 3) == 3);
  const Steps after(3);
  after.take("close files",
             ::fcntl(3, F_SETFD, FD_CLOEXEC) == 0 && ::syscall(SYS_close_range, 4U, ~0U, 0U) == 0);
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing the user has cleared it
  set_limits(plan, after);
  if (const int error = forbid_system_calls(); error != 0) after.end("seccomp", error);
  const std::array<const char*, 5> arguments = {"python3", "-I", "-B", "-", nullptr};
  const std::array<const char*, 4> environment = {"PATH=/usr/bin", "HOME=/tmp", "LANG=C.UTF-8",
                                                  nullptr};
  ::execve("/usr/bin/python3", const_cast<char**>(arguments.data()),
           const_cast<char**>(environment.data()));
  after.end("run /usr/bin/python3", errno);
}

}  // namespace reflect
