// The project's own engine on a Llama checkpoint as a teacher.
#pragma once

#include <memory>

#include "reflect/base/runtime.h"
#include "reflect/generate/team.h"
#include "reflect/model/base_storage.h"
#include "reflect/recipes/teacher.h"

namespace reflect {

// Loads config.model and its adapter where `placement` says, and adds its engine to `team`: a
// collective of the team's ranks. Requests to the first rank's are gathered and computed together,
// by all ranks, when replies are taken: equal requests, submitted in equal groups to as many ranks,
// give equal replies. `team` must outlive the teacher.
std::unique_ptr<Teacher> open_local_teacher(const TeacherConfig& config,
                                            const RuntimeConfig& runtime,
                                            const Placement& placement, Team& team);

}  // namespace reflect
