#include "reflect/data/shard.h"

#include <catch2/catch.hpp>

using namespace reflect;

TEST_CASE("shards have names of their own") {
  CHECK(shard_path("out/a.b/scored.jsonl.gz", {2, 8}) == "out/a.b/scored-00002-of-00008.jsonl.gz");
  CHECK(shard_path("kept", {0, 2}) == "kept-00000-of-00002");
  CHECK(shard_path("kept.jsonl", {0, 1}) == "kept.jsonl");
  CHECK(shard_path("-", {0, 2}) == "-");
}

TEST_CASE("a shard is i/n, and anything else is refused") {
  CHECK(shard_named("3/4").index == 3);
  CHECK(shard_named("auto").whole());
  for (const std::string bad : {"4/4", "-1/4", "1", "1/0", "a/b", "1/2/3", ""})
    CHECK_THROWS_WITH(shard_named(bad), Catch::Contains("0/4"));
}
