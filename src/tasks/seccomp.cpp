#include "tasks/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace reflect {
namespace {

// New sockets, memory that no limit counts, views of other processes, mounts and namespaces, and
// parts of the kernel that have often been broken into. Namespaces and the unprivileged user hold
// without this, too.
constexpr std::array kForbidden = {SYS_socket,
                                   SYS_ptrace,
                                   SYS_process_vm_readv,
                                   SYS_process_vm_writev,
                                   SYS_mount,
                                   SYS_umount2,
                                   SYS_pivot_root,
                                   SYS_chroot,
                                   SYS_move_mount,
                                   SYS_open_tree,
                                   SYS_fsopen,
                                   SYS_fsconfig,
                                   SYS_fsmount,
                                   SYS_fspick,
                                   SYS_mount_setattr,
                                   SYS_unshare,
                                   SYS_setns,
                                   SYS_bpf,
                                   SYS_perf_event_open,
                                   SYS_userfaultfd,
                                   SYS_io_uring_setup,
                                   SYS_io_uring_enter,
                                   SYS_io_uring_register,
                                   SYS_keyctl,
                                   SYS_add_key,
                                   SYS_request_key,
                                   SYS_kexec_load,
                                   SYS_kexec_file_load,
                                   SYS_init_module,
                                   SYS_finit_module,
                                   SYS_delete_module,
                                   SYS_open_by_handle_at,
                                   SYS_personality,
                                   SYS_syslog,
                                   SYS_acct,
                                   SYS_swapon,
                                   SYS_swapoff,
                                   SYS_reboot,
                                   SYS_quotactl,
                                   SYS_modify_ldt,
                                   SYS_memfd_create,
                                   SYS_memfd_secret,
                                   SYS_shmget,
                                   SYS_semget,
                                   SYS_msgget,
                                   SYS_mq_open,
                                   SYS_pidfd_getfd,
                                   SYS_pidfd_open};

constexpr std::uint32_t kNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                      CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
constexpr std::uint32_t kX32 = 0x40000000;  // calls of the 32-bit ABI on 64 bits

constexpr sock_filter statement(std::uint16_t code, std::uint32_t value) {
  return {code, 0, 0, value};
}

constexpr sock_filter jump(std::uint16_t code, std::uint32_t value, std::uint8_t yes,
                           std::uint8_t no) {
  return {static_cast<std::uint16_t>(BPF_JMP | code | BPF_K), yes, no, value};
}

constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t kReturn = BPF_RET | BPF_K;

constexpr std::size_t kHead = 12;

constexpr auto filter() {
  std::array<sock_filter, kHead + 2 * kForbidden.size() + 1> program{};
  std::size_t at = 0;
  const auto add = [&](sock_filter instruction) { program[at++] = instruction; };
  add(statement(kLoad, offsetof(seccomp_data, arch)));
  add(jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
  add(statement(kReturn, SECCOMP_RET_KILL_PROCESS));
  add(statement(kLoad, offsetof(seccomp_data, nr)));
  add(jump(BPF_JGE, kX32, 0, 1));
  add(statement(kReturn, SECCOMP_RET_KILL_PROCESS));
  // clone3 hides its flags from the filter: libraries fall back to clone.
  add(jump(BPF_JEQ, SYS_clone3, 0, 1));
  add(statement(kReturn, SECCOMP_RET_ERRNO | ENOSYS));
  add(jump(BPF_JEQ, SYS_clone, 0, 3));
  add(statement(kLoad, offsetof(seccomp_data, args)));
  add(jump(BPF_JSET, kNamespaces, 2, 0));
  add(statement(kReturn, SECCOMP_RET_ALLOW));
  for (const long call : kForbidden) {
    add(jump(BPF_JEQ, static_cast<std::uint32_t>(call), 0, 1));
    add(statement(kReturn, SECCOMP_RET_ERRNO | EPERM));
  }
  add(statement(kReturn, SECCOMP_RET_ALLOW));
  return program;
}

}  // namespace

int forbid_system_calls() {
  static constexpr auto kFilter = filter();
  const sock_fprog program = {static_cast<unsigned short>(kFilter.size()),
                              const_cast<sock_filter*>(kFilter.data())};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
}

}  // namespace reflect
