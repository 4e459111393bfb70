// What a run would ask and what it would take, before it is started.
#pragma once

#include "recipes/source.h"
#include "recipes/teacher_job.h"
#include "recipes/teacher_table.h"
#include "reflect/recipes/recipe.h"
#include "reflect/recipes/synthesize.h"

namespace reflect {

// Prints every question of the first config.show_prompt problems as it will be sent. What is known
// only from replies stands as {{field}}.
ExitCode show_prompts(const SynthesizeConfig& config, const Recipe& recipe,
                      const TeacherTable& teachers, TaskSource& source);

// Runs the first problems (their replies stay in the run store) and prints what all problems, or
// as many as config.accept needs, would take: requests, tokens, US dollars.
ExitCode estimate(const SynthesizeConfig& config, const Recipe& recipe,
                  const TeacherTable& teachers, TeacherJob& job, TaskSource& source);

}  // namespace reflect
