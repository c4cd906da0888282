package gossip

// Told returns the IDs of the nodes that a member tells of, as d has heard.
func (d *Discoverer) Told(member string) (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.members[member].entries {
		ids = append(ids, e.id)
	}
	return ids
}
