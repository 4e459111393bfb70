#include "reflect/data/ngram.h"

#include <catch2/catch.hpp>

#include "reflect/base/random.h"

namespace reflect {
namespace {

std::string words_of(std::string_view text) {
  return Words(text).text();
}

// Words drawn from a small vocabulary, so that n-grams repeat.
std::string random_text(std::uint64_t key, std::size_t words) {
  Random random(7, "ngram_test", {key});
  std::string text;
  for (std::size_t i = 0; i < words; ++i) text += "w" + std::to_string(random.below(12)) + " ";
  return text;
}

}  // namespace

TEST_CASE("words: case, punctuation, width and invisible characters do not count") {
  CHECK(words_of("It's 3*4 = 12, isn't it?") == "it s 3 4 12 isn t it");
  CHECK(words_of("") == "");
  CHECK(words_of(" ...!") == "");
  CHECK(words_of("Stra\u00dfe STRASSE") == "strasse strasse");
  CHECK(words_of("\uff21\uff22\uff13 ab3") == "ab3 ab3");                  // full width
  CHECK(words_of("caf\u00e9 cafe\u0301 CAFE\u0301") == "café café café");  // NFC and NFD
  CHECK(words_of("co\u00adoper\u200bate") == "cooperate");                 // soft hyphen
  CHECK(words_of("don\u2019t \u201cquote\u201d\u2014end") == "don t quote end");
  CHECK(words_of("x\u00b2 \u2167") == "x2 viii");
  CHECK(words_of("\u0434\u041e\u041c") == "дом");
}

TEST_CASE("scripts without spaces have a word a letter, with its marks") {
  CHECK(words_of("\u6c34\u304c3\u676f\u3002") == "水 が 3 杯");
  CHECK(words_of("\u304b\u3099") == "が");         // composed
  CHECK(words_of("\u0e01\u0e34\u0e19") == "กิ น");  // Thai: a vowel sign stays with its letter
  CHECK(words_of("ab\u6c34cd") == "ab 水 cd");
}

TEST_CASE("ill-formed UTF-8 separates words and is not kept") {
  CHECK(words_of("ab\xff"
                 "cd") == "ab cd");
  CHECK(words_of("\xe6\xb0") == "");
  CHECK(words_of("\xc3\xa9\x80\xc3\xa9") == "é é");
}

TEST_CASE("n-grams are windows of words, and equal hashes mean equal words") {
  const Words words("The cat, the cat and THE CAT");
  REQUIRE(words.size() == 7);
  CHECK(words.gram(0, 2) == "the cat");
  CHECK(words.gram(5, 2) == "the cat");
  CHECK(words.gram(0, 7) == words.text());
  const auto hashes = words.gram_hashes(2);
  REQUIRE(hashes.size() == 6);
  CHECK(hashes[0] == hashes[2]);
  CHECK(hashes[0] == hashes[5]);
  CHECK(hashes[0] != hashes[1]);
  CHECK(words.gram_hashes(8).empty());
  CHECK(words.gram_hashes(7).size() == 1);

  for (std::size_t n = 1; n <= 13; ++n) {
    const Words a(random_text(1, 200)), b(random_text(2, 200));
    const auto of_a = a.gram_hashes(n), of_b = b.gram_hashes(n);
    REQUIRE(of_a.size() == 201 - n);
    for (std::size_t i = 0; i < of_a.size(); i += 3)
      for (std::size_t j = 0; j < of_b.size(); ++j)
        if ((of_a[i] == of_b[j]) != (a.gram(i, n) == b.gram(j, n)))
          FAIL("n " << n << ": \"" << a.gram(i, n) << "\" and \"" << b.gram(j, n) << "\"");
  }
}

TEST_CASE("the index finds every place of an n-gram and nothing else") {
  GramIndex index(3);
  std::vector<Words> texts;
  std::size_t grams = 0;
  for (std::uint32_t t = 0; t < 50; ++t) {
    texts.emplace_back(random_text(t, t));  // also texts without any word
    grams += index.add(t, texts.back());
  }
  index.finish();
  CHECK(grams > 900);
  const Words query(random_text(99, 60));
  const auto hashes = query.gram_hashes(3);
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    std::vector<std::uint32_t> found, expected;
    for (const GramIndex::Place& place : index.find(hashes[i])) {
      found.push_back(place.text);
      CHECK(texts[place.text].gram(place.word, 3) == query.gram(i, 3));
    }
    for (std::uint32_t t = 0; t < texts.size(); ++t)
      if ((" " + texts[t].text() + " ").find(" " + std::string(query.gram(i, 3)) + " ") !=
          std::string::npos)
        expected.push_back(t);
    CHECK(found == expected);
  }
}

TEST_CASE("an empty index finds nothing") {
  GramIndex index(3);
  index.finish();
  CHECK(index.find(0).empty());
  CHECK(index.find(~std::uint64_t{0}).empty());
}

}  // namespace reflect
