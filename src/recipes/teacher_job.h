// The processes of a run: the first one takes rows through the recipe, the others help it to decode
// where teachers are models here.
#pragma once

#include <memory>

#include "recipes/teacher_table.h"
#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/generate/team.h"
#include "reflect/model/base_storage.h"
#include "reflect/recipes/recipe.h"
#include "reflect/recipes/synthesize.h"
#include "reflect/recipes/teacher.h"

namespace reflect {

// Of a run in which no process decodes: meets the others, which must have the same settings, and
// parts from them. Whether this process is the first one, which does all the work.
bool is_first_of_same(const SynthesizeConfig& config);

class TeacherJob {
 public:
  // Meets the run's other processes, which must have the same settings. Where no local teacher is
  // asked the first one then works alone. `teachers` must outlive the job.
  TeacherJob(const SynthesizeConfig& config, const Recipe& recipe, const TeacherTable& teachers);

  bool first() const { return first_; }
  // The teacher of a configuration for which is_asked holds. Error (usage) for settings that do not
  // fit its kind. Those of kind local are opened by all ranks, in the order of the table.
  std::unique_ptr<Teacher> open(const TeacherConfig& config);
  // Of all ranks but the first: opens the local teachers and decodes for the first one until it
  // needs no more. kIncomplete after a signal, which may have come to any rank during a request.
  ExitCode serve();
  // Of the first rank, once its teachers are open: ends the others' `serve`.
  void dismiss() noexcept;

 private:
  const TeacherTable& teachers_;
  RuntimeConfig runtime_;
  bool first_ = true;
  bool decodes_ = false;
  Placement placement_;  // of all processes; each teacher's has its own config
  Team team_;
};

}  // namespace reflect
