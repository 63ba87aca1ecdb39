// One picture large, with what a person without fine motor control needs to change the order.
Component({
  properties: {
    item: { type: Object, value: {} },
    place: { type: Number, value: 0 },
    total: { type: Number, value: 0 },
    texts: { type: Object, value: {} },
  },
  methods: {
    tell(event) {
      this.triggerEvent(event.currentTarget.dataset.what, { id: this.data.item.id })
    },
    onTouchStart(event) {
      this.startX = event.touches[0].clientX
    },
    onTouchEnd(event) {
      const dx = event.changedTouches[0].clientX - this.startX
      if (Math.abs(dx) > 60) this.triggerEvent(dx < 0 ? 'next' : 'previous')
    },
  },
})
