// The project's own engine on a Llama checkpoint as a teacher.
#pragma once

#include <memory>

#include "reflect/recipes/teacher.h"

namespace reflect {

// Loads config.model and its adapter. Requests are gathered and computed together when replies are
// taken: equal requests, submitted in equal groups, give equal replies.
std::unique_ptr<Teacher> open_local_teacher(const TeacherConfig& config,
                                            const RuntimeConfig& runtime);

}  // namespace reflect
