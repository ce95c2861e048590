// The reader of one role: questions of the HTTP API and the console, over a connection of its own. A commit does not
// hold it up, and it holds up no commit.

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <string>
#include <utility>

#include "actors/harden.hpp"
#include "bridges/sql/database.hpp"

namespace cartwright::sql {

namespace {

struct ReaderState {
  std::string name = "reader";
  std::unique_ptr<Database> database;
};

/// Asks; a Reply that is not ok when the database cannot answer.
template <class Reply, class Question>
Reply ask(Database& database, const Question& question) {
  std::string why;
  if (!database.connected(why)) return {};
  try {
    return {true, question()};
  } catch (const std::exception&) {
    database.disconnect();
    return {};
  }
}

ReaderActor::behavior_type reader_actor(ReaderActor::stateful_pointer<ReaderState> self, StoreOptions options) {
  harden(self);
  self->state.name += "-" + std::string(to_string(options.role));
  self->state.database = std::make_unique<Database>(std::move(options), Access::read);
  Database* from = self->state.database.get();
  return {
      [from](const FindRow& question) { return ask<FoundRow>(*from, [&] { return from->find(question.key); }); },
      [from](const FindHistory& question) {
        return ask<History>(*from, [&] { return from->history(question.order); });
      },
      [from](const ListRows& question) { return ask<Loaded>(*from, [&] { return from->list(question); }); },
      [from](const RowsUnder& question) { return ask<Loaded>(*from, [&] { return from->under(question); }); },
      [from](const ListSetAside& question) {
        return ask<SetAsideRows>(*from, [&] { return from->set_aside(question); });
      },
      [from](const FindProduct& question) {
        return ask<Products>(*from, [&] { return from->product(question.product); });
      },
      [from](const ListProducts& question) { return ask<Products>(*from, [&] { return from->products(question); }); },
      [from](const FindAnswer& question) {
        return ask<FoundAnswer>(*from, [&] { return from->answer(question.key); });
      },
  };
}

}  // namespace

ReaderActor spawn_reader(caf::actor_system& system, StoreOptions options) {
  return system.spawn<caf::detached>(reader_actor, std::move(options));
}

}  // namespace cartwright::sql
