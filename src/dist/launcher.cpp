#include "reflect/dist/launcher.h"

#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <thread>

#include "launch_variables.h"
#include "reflect/base/log.h"
#include "reflect/base/signals.h"

namespace reflect {
namespace {

using Clock = std::chrono::steady_clock;
using EnvironmentVariables = std::vector<std::pair<std::string, std::string>>;

[[noreturn]] void fail_system(const char* what, int error) {
  fail("launch", "{}: {}", what, std::generic_category().message(error));
}

// A socket that listens on a free port of the loopback interface. The ranks' meeting place is open
// before any of them runs, and nobody else can take the port in between.
class MeetingSocket {
 public:
  MeetingSocket() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (descriptor_ < 0 || ::bind(descriptor_, generic, size) != 0 ||
        ::listen(descriptor_, SOMAXCONN) != 0 || ::getsockname(descriptor_, generic, &size) != 0)
      fail_system("no port for the ranks to meet", errno);
    port_ = ntohs(address.sin_port);
  }
  ~MeetingSocket() { ::close(descriptor_); }
  MeetingSocket(const MeetingSocket&) = delete;
  MeetingSocket& operator=(const MeetingSocket&) = delete;

  int descriptor() const { return descriptor_; }
  int port() const { return port_; }

 private:
  int descriptor_;
  int port_ = 0;
};

// This process's environment with `changes`.
std::vector<std::string> environment_with(const EnvironmentVariables& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto is_changed = [&](const auto& change) {
      return text.substr(0, text.find('=')) == change.first;
    };
    if (std::ranges::none_of(changes, is_changed)) result.emplace_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Spawn, not fork: libtorch's threads do not survive a fork. Each rank leads a process group, so
// that a Ctrl-C reaches it once, through the launcher, and killing the group leaves nothing behind.
pid_t spawn(const std::string& program, std::vector<std::string> arguments,
            std::vector<std::string> environment, int inherited) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (inherited >= 0) posix_spawn_file_actions_adddup2(&files, inherited, inherited);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // watch_signals has blocked some here
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail("launch", "{}: {}", program, std::generic_category().message(error));
  return pid;
}

struct LocalRank {
  int rank = 0;
  pid_t pid = 0;  // 0: has ended
};

class LocalRanks {
 public:
  ~LocalRanks() { kill_all(); }

  void start(const LaunchConfig& config, const std::string& program,
             const std::vector<std::string>& arguments);
  ExitCode wait();

 private:
  bool any_left() const {
    return std::ranges::any_of(ranks_, [](const LocalRank& rank) { return rank.pid != 0; });
  }
  void pass_on_signal();
  void reap();
  void note_end(const LocalRank& rank, int status);
  void kill_all();

  std::vector<LocalRank> ranks_;
  Clock::duration grace_{};  // for the others once a rank has failed
  int signal_passed_on_ = 0;
  int exit_code_ = 0;
  std::optional<Clock::time_point> failed_;  // when the first rank did
};

void LocalRanks::start(const LaunchConfig& config, const std::string& program,
                       const std::vector<std::string>& arguments) {
  grace_ = std::chrono::seconds(std::min<std::int64_t>(5, config.timeout));
  const LaunchEnvironment outer = launch_environment();
  const int count = static_cast<int>(config.nproc);
  std::optional<MeetingSocket> meeting;
  if (outer.world_size == 1) meeting.emplace();
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  for (int local = 0; local < count; ++local) {
    EnvironmentVariables changes = {
        {"RANK", std::to_string(outer.rank * count + local)},
        {"WORLD_SIZE", std::to_string(outer.world_size * count)},
        {"LOCAL_RANK", std::to_string(local)},
        {"LOCAL_WORLD_SIZE", std::to_string(count)},
        {"MASTER_ADDR", outer.master_address},
        {"MASTER_PORT", std::to_string(meeting ? meeting->port() : outer.master_port)},
        {launch_variables::kLauncher, std::to_string(::getpid())}};
    const bool keeps_meeting = meeting && local == 0;
    if (keeps_meeting)
      changes.emplace_back(launch_variables::kMasterSocket, std::to_string(meeting->descriptor()));
    if (std::getenv("OMP_NUM_THREADS") == nullptr)
      changes.emplace_back("OMP_NUM_THREADS",
                           std::to_string(std::max(1U, cores / static_cast<unsigned>(count))));
    ranks_.push_back(
        {outer.rank * count + local, spawn(program, arguments, environment_with(changes),
                                           keeps_meeting ? meeting->descriptor() : -1)});
  }
}

ExitCode LocalRanks::wait() {
  while (any_left()) {
    reap();
    pass_on_signal();
    if (failed_ && Clock::now() - *failed_ > grace_) kill_all();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return static_cast<ExitCode>(exit_code_);
}

void LocalRanks::pass_on_signal() {
  const int signal = signal_received();
  if (signal == signal_passed_on_) return;
  signal_passed_on_ = signal;
  for (const LocalRank& rank : ranks_)
    if (rank.pid != 0) ::kill(rank.pid, signal);
}

void LocalRanks::reap() {
  for (LocalRank& rank : ranks_) {
    int status = 0;
    if (rank.pid == 0 || ::waitpid(rank.pid, &status, WNOHANG) != rank.pid) continue;
    note_end(rank, status);
    ::kill(-rank.pid, SIGKILL);  // what it may have started
    rank.pid = 0;
  }
}

void LocalRanks::note_end(const LocalRank& rank, int status) {
  if (failed_) return;
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int code = signal != 0 ? 128 + signal : WEXITSTATUS(status);
  if (code == 0) return;
  exit_code_ = code;
  if (code == static_cast<int>(ExitCode::kIncomplete) || code == 128 + signal_passed_on_) return;
  failed_ = Clock::now();
  if (signal == 0) {
    log_error("[launch] rank {} ended with exit code {}", rank.rank, code);
  } else {
    log_error("[launch] rank {} was ended by signal {} ({}{})", rank.rank, signal,
              ::strsignal(signal), signal == SIGKILL ? "; out of memory?" : "");
  }
}

void LocalRanks::kill_all() {
  for (LocalRank& rank : ranks_) {
    if (rank.pid == 0) continue;
    ::kill(-rank.pid, SIGKILL);
    ::waitpid(rank.pid, nullptr, 0);
    rank.pid = 0;
  }
}

}  // namespace

bool is_launcher(const LaunchConfig& config) {
  if (config.nproc < 1)
    fail_usage("launch", "--launch.nproc {}; at least 1 process must run", config.nproc);
  return config.nproc > 1 && std::getenv(launch_variables::kLauncher) == nullptr;
}

ExitCode launch_ranks(const LaunchConfig& config, const std::string& program,
                      const std::vector<std::string>& arguments) {
  LocalRanks ranks;
  ranks.start(config, program, arguments);
  return ranks.wait();
}

ExitCode launch_ranks(const LaunchConfig& config, const std::vector<std::string>& arguments) {
  return launch_ranks(config, "/proc/self/exe", arguments);
}

void follow_launcher() {
  const char* launcher = std::getenv(launch_variables::kLauncher);
  if (launcher == nullptr) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have ended before this call.
  if (std::to_string(::getppid()) != launcher) ::raise(SIGKILL);
}

}  // namespace reflect
