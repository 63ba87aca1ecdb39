// How the whole goes, and the one action that makes sense now.
Component({
  properties: {
    // busy | paused | failed | done
    state: { type: String, value: 'busy' },
    percent: { type: Number, value: 0 },
    line: { type: String, value: '' },
    texts: { type: Object, value: {} },
  },
  methods: {
    onAction() {
      this.triggerEvent({ busy: 'pause', paused: 'resume', failed: 'retry', done: 'done' }[this.data.state])
    },
  },
})
