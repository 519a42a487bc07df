package syncer

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
)

// store keeps what the objects of one kind say, and nothing else of them: a heartbeat that changes nothing of that is
// gone as soon as it has come. It is what a reflector writes into.
type store struct {
	read    func(object any) (fact, error)
	changed func()

	mu     sync.Mutex
	facts  map[string]fact
	synced bool
}

func newStore(read func(any) (fact, error), changed func()) *store {
	return &store{read: read, changed: changed, facts: map[string]fact{}}
}

// Add and Update make it a cache.ReflectorStore, as do Delete, Replace and Resync.
func (s *store) Add(object any) error { return s.Update(object) }

// Update takes note of an object.
func (s *store) Update(object any) error {
	f, name, err := s.factOf(object)
	if err != nil {
		return err
	}
	s.change(func(facts map[string]fact) { facts[name] = f })
	return nil
}

// Delete forgets an object.
func (s *store) Delete(object any) error {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	s.change(func(facts map[string]fact) { delete(facts, accessor.GetName()) })
	return nil
}

// Replace takes note of all objects that there are.
func (s *store) Replace(objects []any, _ string) error {
	fresh := map[string]fact{}
	for _, object := range objects {
		f, name, err := s.factOf(object)
		if err != nil {
			return err
		}
		fresh[name] = f
	}
	s.change(func(facts map[string]fact) {
		clear(facts)
		maps.Copy(facts, fresh)
		s.synced = true
	})
	return nil
}

// Resync does nothing: nobody here forgets.
func (s *store) Resync() error { return nil }

func (s *store) factOf(object any) (fact, string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return fact{}, "", fmt.Errorf("reading an object: %w", err)
	}
	f, err := s.read(object)
	return f, accessor.GetName(), err
}

// change tells when the facts differ afterwards, or when they are complete for the first time.
func (s *store) change(change func(map[string]fact)) {
	s.mu.Lock()
	before, was := maps.Clone(s.facts), s.synced
	change(s.facts)
	differs := s.synced != was || !maps.EqualFunc(before, s.facts, fact.equal)
	s.mu.Unlock()
	if differs {
		s.changed()
	}
}

// list returns the facts, and whether they are those of a whole list.
func (s *store) list() ([]fact, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.facts)), s.synced
}
