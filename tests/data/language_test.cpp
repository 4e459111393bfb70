// Languages by their letters and words; texts that do not tell are left open.
#include "reflect/data/language.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

using namespace reflect;

TEST_CASE("sentences tell their language") {
  const std::vector<std::pair<const char*, const char*>> sentences = {
      {"en",
       "A pen costs 3 and the paper costs 5, so we have to add what they cost with the rest."},
      {"de",
       "Ein Stift kostet 3 und das Papier kostet 5. Wie viel kostet es, wenn wir beides nehmen?"},
      {"fr",
       "Un stylo coûte 3 et le papier coûte 5. Combien cela coûte-t-il pour les deux dans ce "
       "magasin ?"},
      {"es", "Un bolígrafo cuesta 3 y el papel cuesta 5. ¿Cuánto es lo que se paga por los dos?"},
      {"it", "Una penna costa 3 e la carta costa 5. Quanto si paga per una penna e non per due?"},
      {"pt",
       "Uma caneta custa 3 e o papel custa 5. Quanto é que se paga por uma caneta e não duas?"},
      {"nl", "Een pen kost 3 en het papier kost 5. Hoeveel is dat voor een pen en niet twee?"},
      {"pl", "Długopis kosztuje 3, a papier kosztuje 5. Ile to jest razem, jak się nie ma więcej?"},
      {"sv",
       "En penna kostar 3 och papperet kostar 5. Hur mycket är det för en penna och inte två?"},
      {"tr", "Bir kalem 3 lira ve bir defter 5 lira. Bu ikisi için toplam kaç lira, daha çok mu?"},
      {"ru", "Ручка стоит 3, а бумага стоит 5."},
      {"uk", "Ручка коштує 3, а папір коштує 5, і це все."},
      {"el", "Το στυλό κοστίζει 3 και το χαρτί 5."},
      {"ar", "القلم يكلف 3 والورق يكلف 5"},
      {"fa", "قیمت خودکار ۳ و کاغذ ۵ است، چقدر می‌شود"},
      {"he", "העט עולה 3 והנייר עולה 5"},
      {"hi", "कलम की कीमत 3 है और कागज की 5"},
      {"th", "ปากการาคา 3 และกระดาษราคา 5"},
      {"ko", "펜은 3이고 종이는 5입니다. 모두 얼마인가요?"},
      {"ja", "ペンは3円で、紙は5円です。全部でいくらですか。"},
      {"zh", "一支笔三元，一张纸五元。一共多少钱？"}};
  for (const auto& [language, text] : sentences) {
    INFO(text);
    CHECK(language_of(text).value_or("none") == language);
  }
  CHECK(language_codes().size() == sentences.size());
}

TEST_CASE("what does not tell is left open") {
  for (const char* text :
       {"", "3 * 4 = 12", "x = y + z\nfor i in range(10): print(i)", "Hello there", "\xff\xfe\xff",
        "Anna Bert Carla Dora Emil Fritz Gustav Hans Ida"}) {
    INFO(text);
    CHECK_FALSE(language_of(text).has_value());
  }
}
