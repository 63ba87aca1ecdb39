import { problemError, UploadError } from '../core/errors.js'
import { promised, type Wx } from './wx.js'

const offline = ({ errMsg }: { errMsg: string }): never => {
  throw new UploadError('network', { detail: errMsg })
}

/** getToken that trades wx.login for the signer's own token. */
export const wechatSession = (endpoint: string, wx_: Wx) => async (): Promise<string> => {
  const { code } = await promised<{ code: string }>(o => wx_.login(o)).catch(offline)
  const { statusCode, data } = await promised<{ statusCode: number; data: any }>(o => wx_.request(Object.assign({
    url: endpoint.replace(/\/+$/, '') + '/v1/sessions/wechat',
    method: 'POST',
    header: { 'content-type': 'application/json' },
    data: JSON.stringify({ code }),
  }, o))).catch(offline)
  if (statusCode != 200) throw problemError(data, statusCode)
  return data.token
}
