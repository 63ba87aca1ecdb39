// One file: picture, state, and what can be done about it.
Component({
  properties: {
    item: { type: Object, value: {} },
    texts: { type: Object, value: {} },
    lifted: { type: Boolean, value: false },
  },
  methods: {
    onOpen() {
      this.triggerEvent('open', { id: this.data.item.id })
    },
    onRetry() {
      this.triggerEvent('retry', { id: this.data.item.id })
    },
    onRemove() {
      this.triggerEvent('remove', { id: this.data.item.id })
    },
  },
})
