// What a rank other than 0 has to say: into a file of the run's folder.
#pragma once

#include <string>

#include "reflect/dist/launch.h"

namespace reflect {

// From now on a rank above 0 appends all that it logs, with the time and down to debug, to
// <output>/logs/rank-<n>.log; only warnings and errors still go where they went. Rank 0 goes on
// speaking and keeps no file.
void keep_rank_log(const std::string& output, const LaunchEnvironment& place);

}  // namespace reflect
