#include "reflect/metrics/metrics_log.h"

#include <catch2/catch.hpp>
#include <limits>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Matchers::Contains;

TEST_CASE("a step is one line, on disk at once") {
  const TempFolder folder;
  MetricsLog log(folder / "m.jsonl");
  log.write({{"step", 1}, {"loss", 0.5}});
  CHECK(read_file(folder / "m.jsonl") == "{\"step\":1,\"loss\":0.5}\n");
  log.write({{"step", 2}, {"loss", std::numeric_limits<double>::quiet_NaN()}, {"text", "\xff"}});
  CHECK(read_file(folder / "m.jsonl") ==
        "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":null,\"text\":\"\xef\xbf\xbd\"}\n");
}

TEST_CASE("a resumed run counts no step twice") {
  const TempFolder folder;
  write_file_atomic(folder / "m.jsonl",
                    "{\"event\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"ste");
  MetricsLog log(folder / "m.jsonl", 3);
  log.write({{"step", 3}, {"again", true}});
  CHECK(read_file(folder / "m.jsonl") ==
        "{\"event\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"again\":true}\n");
}

TEST_CASE("a log that cannot be written is an error") {
  CHECK_THROWS_WITH(MetricsLog("/no/such/folder/m.jsonl"), Contains("/no/such/folder/m.jsonl"));
  MetricsLog full("/dev/full");
  CHECK_THROWS_WITH(full.write({{"step", 1}}), Contains("No space left"));
}
