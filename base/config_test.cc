#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace sluice::config {
namespace {
using testing::HasSubstr;

struct Parsed {
  Problems problems;
  Node root;
  explicit Parsed(const std::string& text) { root = parse(text, problems.add_source("a.yaml"), problems); }
  [[nodiscard]] std::string words() const { return problems.empty() ? "" : problems.error().what; }
};

TEST(Config, KeepsPlacesOfKeysAndValues) {
  Parsed p("cluster:\n  slots: 4\njobs:\n  - name: a\n    'quoted': \"7\"\n");
  ASSERT_TRUE(p.problems.empty()) << p.words();
  const Node* slots = p.root.find("cluster")->find("slots");
  EXPECT_EQ(slots->text, "4");
  EXPECT_EQ(slots->mark.line, 2);
  EXPECT_EQ(slots->mark.column, 10);
  const auto& job = p.root.find("jobs")->items.at(0);
  EXPECT_EQ(job.entries.at(1).mark.line, 5);
  EXPECT_EQ(job.entries.at(1).mark.column, 5);
  EXPECT_FALSE(to_count(job.entries.at(1).value)) << "a quoted 7 is a string";
}

TEST(Config, UnknownKeyNamesTheNearest) {
  Parsed p("optimizer: {name: adam,\n        learing_rate: 0.1}\n");
  MapReader reader(*p.root.find("optimizer"), "optimizer", p.problems);
  (void)reader.take("name");
  (void)reader.take("learning_rate");
  reader.finish();
  EXPECT_EQ(p.words(), "a.yaml:2:9: unknown key 'learing_rate' under optimizer; did you mean 'learning_rate'?");
  EXPECT_EQ(p.problems.error().code, Errc::kBadConfig);
}

TEST(Config, YamlForPeopleIsReadBackAsWritten) {
  const std::string json =
      R"({"a":{"b":[1,2.5,"x y"],"none":{}},"empty":[],"words":["yes","No","null","1e3","a: b","- c","#","","é\n","/d/f-1.gz","-1"],"yes":true,"z":null})";
  Parsed p(to_yaml(json));
  EXPECT_TRUE(p.problems.empty()) << p.words();
  EXPECT_EQ(to_json(p.root), json) << to_yaml(json);
}

TEST(Config, AllMistakesAtOnceInOrder) {
  Parsed p("b: x\na: -1\nc: [1]\nd: 5m\nz: 1\nlater: 2\n");
  MapReader reader(p.root, "the file", p.problems);
  (void)reader.count("a", 0, 1, 9);
  (void)reader.positive("b", 1);
  (void)reader.text("c");
  (void)reader.duration("d", from_ms(1), from_ms(1), from_ms(1000));
  (void)reader.need("missing");
  reader.planned({"later"});
  reader.finish();
  const auto words = p.words();
  EXPECT_EQ(p.problems.size(), 7u) << words;
  for (const char* part :
       {"a.yaml:1:4: 'b' under the file must be a number above 0, not 'x'", "a.yaml:2:4: 'a' under the file must be a whole number from 1 to 9, not '-1'",
        "a.yaml:3:4: 'c' under the file must be a single value, not a list", "a.yaml:4:4: 'd' under the file must be a length of time",
        "needs a value for 'missing'", "a.yaml:5:1: unknown key 'z'", "a.yaml:6:1: 'later' under the file is part of the design but not in this version yet"}) {
    EXPECT_THAT(words, HasSubstr(part));
  }
  EXPECT_LT(words.find("a.yaml:1:4"), words.find("a.yaml:6:1"));
}

TEST(Config, DuplicateKeysAreMistakesAndTheFirstStays) {
  Parsed p("a: 1\na: {b: [2, 3]}\nc: 4\n");
  EXPECT_EQ(p.words(), "a.yaml:2:1: the key 'a' is there twice");
  EXPECT_EQ(p.root.find("a")->text, "1");
  EXPECT_EQ(p.root.find("c")->text, "4");
}

TEST(Config, SyntaxErrorsHaveAPlace) {
  EXPECT_THAT(Parsed("a: [1, 2\nb: 3\n").words(), HasSubstr("a.yaml:2:"));
  EXPECT_THAT(Parsed("a:\n\tb: 3\n").words(), HasSubstr("a.yaml:2:1: a tab in the indentation"));
  EXPECT_THAT(Parsed(std::string("a: \0b\n", 6)).words(), HasSubstr("a.yaml:1:4: not text"));
  EXPECT_THAT(Parsed("a: 1\n---\nb: 2\n").words(), HasSubstr("more than one document"));
  EXPECT_THAT(Parsed("a: !!python/object x\n").words(), HasSubstr("tags"));
}

TEST(Config, DocumentsAreBounded) {
  EXPECT_THAT(Parsed("a: &x [1]\nb: *x\n").words(), HasSubstr("a.yaml:1:4: anchors"));
  EXPECT_THAT(Parsed(std::string(100, '[') + std::string(100, ']')).words(), HasSubstr("levels deep"));
  EXPECT_THAT(Parsed(std::string(kDocumentBytesMax + 1, 'a')).words(), HasSubstr("larger than"));
  std::string many = "[";
  for (std::size_t i = 0; i <= kNodesMax; ++i) many += "1,";
  EXPECT_THAT(Parsed(many + "]").words(), HasSubstr("more than 100000 values"));
}

TEST(Config, NumbersAndDurationsAreStrict) {
  const auto scalar = [](std::string text) {
    Node node;
    node.kind = Kind::kScalar;
    node.text = std::move(text);
    return node;
  };
  EXPECT_EQ(to_number(scalar("1e-3")), 1e-3);
  EXPECT_EQ(to_number(scalar("+2.5")), 2.5);
  for (const char* bad : {"", "nan", ".inf", "inf", "0x10", "1_000", "1 ", "1e999", "++1"}) EXPECT_FALSE(to_number(scalar(bad))) << bad;
  EXPECT_EQ(to_count(scalar("18446744073709551615")), 18446744073709551615u);
  for (const char* bad : {"18446744073709551616", "-1", "1.0", "1e3"}) EXPECT_FALSE(to_count(scalar(bad))) << bad;
  EXPECT_EQ(to_duration(scalar("500ms"))->ns, 500'000'000);
  EXPECT_EQ(to_duration(scalar("1.5s"))->ns, 1'500'000'000);
  for (const char* bad : {"500", "ms", "-1s", "1 s", "1d", "1e3s", "99999999999999h"}) EXPECT_FALSE(to_duration(scalar(bad))) << bad;
}

TEST(Config, JsonOfParams) {
  Parsed p("{hidden: [256, 128], rate: 1e-3, on: true, word: relu, text: '7', none: null}");
  EXPECT_EQ(to_json(p.root), R"({"hidden":[256,128],"none":null,"on":true,"rate":0.001,"text":"7","word":"relu"})");
}

TEST(Config, AssignByPath) {
  Parsed p("jobs:\n  - name: a\n    epochs: 1\n  - name: b\n");
  const auto set = [&](const std::string& path, const std::string& value) {
    Node node = parse(value, p.problems.add_source("--set " + path), p.problems);
    node.mark.line = 0;
    assign(p.root, path, node, p.problems);
  };
  set("cluster.slots", "4");
  set("jobs.b.epochs", "7");
  set("jobs.0.epochs", "3");
  EXPECT_TRUE(p.problems.empty()) << p.words();
  EXPECT_EQ(p.root.find("cluster")->find("slots")->text, "4");
  EXPECT_EQ(p.root.find("jobs")->items[1].find("epochs")->text, "7");
  EXPECT_EQ(p.root.find("jobs")->items[0].find("epochs")->text, "3");
  set("jobs.*.epochs", "9");
  EXPECT_EQ(p.root.find("jobs")->items[0].find("epochs")->text, "9");
  set("jobs.aa.epochs", "1");
  EXPECT_THAT(p.words(), HasSubstr("--set jobs.aa.epochs: unknown name 'aa'; did you mean 'a'?"));
}

/// Any mangling of a valid document gives a tree or mistakes with places, never a crash, and bounded words.
TEST(Config, MangledDocumentsNeverCrash) {
  const std::string good =
      "cluster: {servers: 2, slots: auto}\npolicy: {name: slaq, round: 500ms}\ndata:\n  fashion: {format: idx, train: [a, b]}\njobs:\n  - name: mlp\n    "
      "params: {hidden: [[64], [256]]}\n";
  SeededRng rng(7);
  const std::string alphabet = "{}[]:,-#&*!|>'\"%@`\n\t \\?~<=x0\xc3\xff";
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + rng.below(6); edits > 0; --edits) {
      const std::size_t at = rng.below(text.size());
      const char c = alphabet[rng.below(alphabet.size())];
      switch (rng.below(3)) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1 + rng.below(8));
          break;
      }
      if (text.empty()) text.push_back('x');
    }
    Parsed p(text);
    refused += p.problems.empty() ? 0 : 1;
    EXPECT_LT(p.words().size(), 20'000u);
    (void)to_json(p.root);
  }
  EXPECT_GT(refused, 500) << "the mangling is too mild to mean anything";
}

}  // namespace
}  // namespace sluice::config
