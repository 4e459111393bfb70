// The run store: what was added is there again, for one process at a time.
#include "recipes/run_store.h"

#include <catch2/catch.hpp>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;

namespace {

TeacherRequest request_of(const std::string& prompt, std::uint64_t draw = 0) {
  TeacherRequest request;
  request.messages = {{"user", prompt}};
  request.draw = draw;
  return request;
}

StoredReply stored(const TeacherRequest& request, const std::string& text) {
  StoredReply reply;
  reply.request = key_of("model", request);
  reply.reply.text = text;
  reply.reply.prompt_tokens = 10;
  reply.reply.completion_tokens = 5;
  reply.usd = 0.25;
  return reply;
}

}  // namespace

TEST_CASE("a key holds all that shapes a reply") {
  const std::string key = key_of("model", request_of("a")).key;
  CHECK(key == key_of("model", request_of("a")).key);
  CHECK(key != key_of("other", request_of("a")).key);
  CHECK(key != key_of("model", request_of("b")).key);
  CHECK(key != key_of("model", request_of("a", 1)).key);
  TeacherRequest changed = request_of("a");
  changed.seed = 7;
  CHECK(key != key_of("model", changed).key);
  changed = request_of("a");
  changed.sampling.temperature = 0.1;
  CHECK(key != key_of("model", changed).key);
  changed = request_of("a");
  changed.begun = "So";
  CHECK(key != key_of("model", changed).key);
}

TEST_CASE("replies are there again after the file was closed") {
  const TempFolder folder;
  const std::string path = folder / "replies.sqlite";
  StoredReply reply = stored(request_of("a"), std::string("tab\t, null \0, \xc3\xa9", 16));
  reply.reply.reasoning = "because";
  reply.reply.finish = ReplyFinish::kStop;
  reply.reply.attempts = 3;
  {
    RunStore store(path);
    CHECK_FALSE(store.find(reply.request.key));
    store.add({reply, stored(request_of("b"), "other")});
    store.add({stored(request_of("a"), "never taken")});
    CHECK(store.totals().replies == 2);
  }
  RunStore store(path);
  const auto found = store.find(reply.request.key);
  REQUIRE(found);
  CHECK(found->text == reply.reply.text);
  CHECK(found->reasoning == "because");
  CHECK(found->finish == ReplyFinish::kStop);
  CHECK(found->attempts == 3);
  CHECK(found->prompt_tokens == 10);
  CHECK(store.totals().replies == 2);
  CHECK(store.totals().attempts == 4);
  CHECK(store.totals().tokens() == 30);
  CHECK(store.totals().usd == 0.5);
}

TEST_CASE("a store that is held, or is none, is an error that says so") {
  const TempFolder folder;
  const std::string path = folder / "replies.sqlite";
  const RunStore store(path);
  CHECK_THROWS_WITH(RunStore(path), Catch::Contains("held by another process"));
  write_file_atomic(folder / "text", std::string(5000, 'x'));
  CHECK_THROWS_WITH(RunStore(folder / "text"), Catch::Contains("is no run store"));
  CHECK_THROWS_WITH(RunStore(folder / "no/such/place"), Catch::Contains("no/such/place"));
}
