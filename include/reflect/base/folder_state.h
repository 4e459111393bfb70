// What lies in a folder, told without reading it.
#pragma once

#include <string>
#include <string_view>

namespace reflect {

// A hash of the names, sizes and times of change of a folder's files; of those whose name ends in
// `ending`, where one is given. Throws Error with the folder and the system's reason.
std::string folder_state(const std::string& folder, std::string_view ending = "");

}  // namespace reflect
