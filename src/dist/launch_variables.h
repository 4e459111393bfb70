// Environment variables between a launcher and the ranks that it started.
#pragma once

namespace reflect::launch_variables {

inline constexpr const char* kLauncher = "REFLECT_LAUNCHER";           // its process id
inline constexpr const char* kMasterSocket = "REFLECT_MASTER_SOCKET";  // descriptor, rank 0 only

}  // namespace reflect::launch_variables
